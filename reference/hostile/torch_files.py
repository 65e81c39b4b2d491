"""Files of ``torch.save`` made to crash, run code or fill the memory when they are loaded without care."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence

from reference.hostile.pickles import data, dictionaries, named, text
from reference.hostile.pickles import document as plain_document

FOREIGN = named("mmengine.logging.history_buffer", "HistoryBuffer") + b")\x81"
"""Makes an object that PyTorch's restricted loader refuses, so that the file is read as records."""

_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first bytes of files of PyTorch before 1.6."""

NUMBERS = struct.pack("<4f", 1, 2, 3, 4)


def integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<i", len(content)) + content


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


def _old(keys: bytes) -> bytes:
    """Return a file as PyTorch wrote it before 1.6, with an empty document and the pickle ``keys`` behind it."""
    return _MAGIC + b"\x80\x02K\x00." * 2 + b"\x80\x02}." + b"\x80\x02" + keys + b"."


def saved(stored: bytes, content: bytes = struct.pack("<q", 4) + NUMBERS) -> bytes:
    """Return a storage as PyTorch saved it before 1.6, which is how ``pickle.dump`` still has it."""
    keys = b"\x80\x02]" + text("0") + b"a."
    return _MAGIC + b"\x80\x02K\x00." * 2 + b"\x80\x02" + stored + b"." + keys + content


def loaded(content: bytes) -> bytes:
    """Return what ``pickle.dump`` has for a storage whose bytes are ``content``."""
    return named("torch.storage", "_load_from_bytes") + content + b"\x85R"


def dumped(stored: bytes) -> bytes:
    """Return what ``pickle.dump`` writes of a tensor with the storage ``stored``."""
    return plain_document(tensor(stored))


def _dumped_often(count: int) -> bytes:
    """Return the pickle of tensors whose storages are made of the same bytes."""
    once = data(saved(storage(count=1000), struct.pack("<q", 1000) + bytes(4000))) + b"q\x00"
    tensors = (text(str(index)) + tensor(loaded(b"h\x00"), size=(1000,)) for index in range(count))
    return b"\x80\x03" + once + b"0}(" + b"".join(tensors) + b"u."


_DOUBLED_TUPLES = b")" + b"2\x86" * 64
"""Makes a tuple of 2^64 tuples, each of which the file has once."""

_OF_ONE_HASH = [number * ((1 << 61) - 1) for number in range(100_000)]
"""Integers that Python gives the hash 0."""

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
    "an order of bytes": archive(document(w=tensor(storage()))).replace(b"little", b"bigger"),
    "no document": archive(b""),
    "a call of countless tuples": odd(_DOUBLED_TUPLES + b")R"),
    "a call of a call with countless tuples": odd(named("a", "b") + _DOUBLED_TUPLES + b"\x85R)R"),
    "a key of countless tuples": odd(
        named("collections", "OrderedDict") + b"]" + _DOUBLED_TUPLES + b"K\x01\x86a\x85R"
    ),
    "a storage with countless tuples as its name": _old(b"](" + _DOUBLED_TUPLES + b"e"),
    "numbers of one hash": archive(b"\x80\x02}(" + b"N".join(map(integer, _OF_ONE_HASH)) + b"Nu."),
    "places of one hash": archive(b"\x80\x02}" + b"".join(b"p%d\n" % number for number in _OF_ONE_HASH) + b"."),
    "a size without end": odd(tensor(storage(), size=(1 << 4000, 4), stride=(0, 1))),
    "an entry compressed by bzip2": archive(document(w=tensor(storage())), method=zipfile.ZIP_BZIP2),
}  # fmt: skip
"""Files that are refused."""

DUMPED = {
    "a storage outside of the pickle": dumped(storage()),
    "a storage that is no file": dumped(loaded(data(NUMBERS))),
    "a storage that is a list": dumped(loaded(b"]")),
    "a storage that is cut short": dumped(loaded(data(saved(storage())[:-1]))),
    "a storage of exabytes": dumped(loaded(data(saved(storage(count=1 << 60))))),
    "a storage in a storage": dumped(loaded(data(saved(loaded(data(saved(storage()))))))),
    "a storage that runs code": dumped(loaded(data(saved(named("posix", "system") + text("id") + b"\x85R")))),
    "a storage of complex numbers": dumped(loaded(data(saved(storage(kind="ComplexFloatStorage"))))),
    "one storage under a thousand names": _dumped_often(1000),
}
"""The same, written by ``pickle.dump``."""

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
