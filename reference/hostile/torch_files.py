"""Files of ``torch.save`` made to crash, run code or fill the memory when they are loaded without care."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence

from reference.hostile.pickles import dictionaries, named, text

FOREIGN = named("mmengine.logging.history_buffer", "HistoryBuffer") + b")\x81"
"""Makes an object that PyTorch's restricted loader refuses, so that the file is read as records."""

NUMBERS = struct.pack("<4f", 1, 2, 3, 4)


def integer(value: int) -> bytes:
    content = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def integers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(integer, values)) + b"t"


def storage(key: str = "0", count: int = 4, kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + named("torch", kind) + text(key) + text("cpu") + integer(count) + b"tQ"


def tensor(stored: bytes, offset: int = 0, size: Sequence[int] = (4,), stride: Sequence[int] = (1,)) -> bytes:
    hooks = named("collections", "OrderedDict") + b")R"
    place = stored + integer(offset) + integers(size) + integers(stride)
    return named("torch._utils", "_rebuild_tensor_v2") + b"(" + place + b"\x89" + hooks + b"tR"


def document(**entries: bytes) -> bytes:
    """Return the pickle of a dictionary, which begins with a foreign object."""
    entries = {"buffer": FOREIGN, **entries}
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u."


def archive(pickle: bytes, entries: Mapping[str, bytes] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    """Return the archive of a pickle and of its storages, by key; by default the one storage "0" of four numbers."""
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", method) as file:
        file.writestr("archive/data.pkl", pickle)
        file.writestr("archive/byteorder", "little")
        for key, content in ({"0": NUMBERS} if entries is None else entries).items():
            file.writestr(f"archive/data/{key}", content)
        file.writestr("archive/version", "3\n")
    return buffer.getvalue()


def odd(made: bytes) -> bytes:
    """Return a file of the tensor that ``made`` makes, beside an object of a foreign class."""
    return archive(document(w=made))


def _doubled() -> bytes:
    """Return an archive with two entries of one name, which readers may take either of."""
    content = archive(document(w=tensor(storage())), {"0": NUMBERS, "1": NUMBERS})
    return content.replace(b"archive/data/1", b"archive/data/0")


def _shared(count: int) -> bytes:
    """Return a file whose one storage of 4 kB has ``count`` names."""
    entries = {f"w{index}": tensor(storage(count=1000), size=(1000,)) for index in range(count)}
    return archive(document(**entries), {"0": bytes(4000)})


def _doubling(levels: int) -> bytes:
    """Return the pickled pairs of pairs, each of the same one twice, whose text and whose hash take 2^levels steps."""
    return b")" + b"2\x86" * levels


def old(pickle: bytes, keys: bytes) -> bytes:
    """Return a file of the format before PyTorch 1.6, with a pickle, keys, and one storage of four numbers."""
    ahead = b"".join(b"\x80\x02" + each + b"." for each in (integer(0x1950A86A), integer(1001), b"}"))
    return ahead + pickle + b"\x80\x02]" + keys + b"a." + struct.pack("<q", 4) + NUMBERS


HOSTILE = {
    "a tensor beyond its storage": odd(tensor(storage(), offset=1)),
    "an offset of billions": odd(tensor(storage(), offset=1 << 62)),
    "a negative offset": odd(tensor(storage(), offset=-1)),
    "a negative size": odd(tensor(storage(), size=(-4,))),
    "a negative stride": odd(tensor(storage(), offset=3, stride=(-1,))),
    "a huge stride": odd(tensor(storage(), size=(2, 2), stride=(1 << 62, 1))),
    "a huge stride of nothing": odd(tensor(storage(), size=(0, 2), stride=(1 << 62, 1 << 62))),
    "stride 0 of billions": odd(tensor(storage(), size=(1 << 40,), stride=(0,))),
    "overlapping rows of millions": odd(tensor(storage(), size=(2, 2, *[1] * 29, 3), stride=(1, 0, *[0] * 30))),
    "more dimensions than there are": odd(tensor(storage(), size=[1] * 70, stride=[1] * 70)),
    "a size without strides": odd(tensor(storage(), stride=())),
    "a storage of exabytes": odd(tensor(storage(count=1 << 60), size=(1 << 59,))),
    "a storage of less than nothing": odd(tensor(storage(count=-4))),
    "a storage of complex numbers": odd(tensor(storage(kind="ComplexFloatStorage"))),
    "a storage that is missing": odd(tensor(storage("1"))),
    "a storage outside of the folder": odd(tensor(storage("../data.pkl"))),
    "a storage that is a list": odd(tensor(b"]")),
    "an entry twice": _doubled(),
    "a bomb": archive(document(w=tensor(storage(count=1 << 24))), {"0": bytes(1 << 26)}, 8),
    "one storage under a thousand names": _shared(1000),
    "a list in itself": archive(b"\x80\x02]q\x00h\x00a" + FOREIGN + b"a."),
    "a tensor in tensors": odd(
        named("torch._utils", "_rebuild_parameter") * 20_000 + tensor(storage()) + b"\x88\x89\x87R" * 20_000
    ),
    "lists in lists": archive(b"\x80\x02" + FOREIGN + b"0" + b"]" * 50_000 + b"a" * 49_999 + b"."),
    "a dictionary referred to a hundred million times": archive(dictionaries(6, 100)),
    "a name that grows": odd(
        named("builtins", "getattr") + b"q\x00" + named("a", "B") + b"q\x01" + b"0"
        + (b"h\x00h\x01" + text("x" * 250) + b"\x86Rq\x01" + b"0") * 500 + b"h\x01"
    ),
    "an attribute of a result": odd(named("builtins", "getattr") + FOREIGN + text("__class__") + b"\x86R"),
    "a call of pairs of pairs": odd(_doubling(60) + b")R"),
    "a call of a call of pairs of pairs": odd(FOREIGN + _doubling(60) + b"\x85R" + b")R"),
    "pairs of pairs as the key of a storage": old(document(w=tensor(storage())), _doubling(60)),
    "a compression that cannot be stopped": archive(document(w=tensor(storage())), method=zipfile.ZIP_BZIP2),
    "an order of bytes": archive(document(w=tensor(storage()))).replace(b"little", b"bigger"),
    "no document": archive(b""),
}  # fmt: skip
"""Files that are refused."""

SUSPECTS = (
    "posix.system", "nt.system", "os.system", "builtins.eval", "builtins.exec", "builtins.__import__", "builtins.open",
    "__builtin__.eval", "builtins:getattr.__globals__", "subprocess.Popen", "runpy.run_path", "importlib.import_module",
    "ctypes.CDLL", "sys.modules", "shutil.rmtree", "socket.socket", "commands.getoutput", "pickle.loads",
    "types.CodeType", "operator.attrgetter", "webbrowser.open", "torch.load", "torch.hub.load",
    "torch.storage._load_from_bytes",
    "torch.jit.load", "torch.ops.load_library", "torch.multiprocessing.reductions.rebuild_storage_filename",
    "numpy.load", "numpy.f2py:os.system", "mmengine:Config.__init__.__globals__",
)  # fmt: skip
"""Names that no checkpoint has a reason to mention, with a colon before the last part or before a path in a module."""
