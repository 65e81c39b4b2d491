"""Decides which names a checkpoint may mention, although nothing that it names is ever looked up or run.

A name of another package is the class of something that training left beside the weights. Names of Python's own
library, of PyTorch and of NumPy are known: what is no plain data there is what attacks are made of.
"""

from __future__ import annotations

import re
import sys
from _compat_pickle import IMPORT_MAPPING  # what Python 2 called the modules

from pem_edge.pem.checkpoints.formats.inert_pickle import GETATTR, Call, Name

_FRAMEWORKS = ("torch", "numpy")

_DATA = re.compile(
    r"builtins\.(bool|bytearray|bytes|complex|dict|float|frozenset|int|list|long|object|range|set|slice|str|tuple|type"
    r"|unicode)|_codecs\.encode|argparse\.Namespace|copyreg\.(_reconstructor|__newobj__)|functools\.partial"
    r"|types\.(SimpleNamespace|MappingProxyType|NoneType)|operator\.getitem|time\.struct_time|uuid\.\w+"
    r"|(collections|dataclasses|datetime|decimal|enum|fractions|pathlib|string|typing|zoneinfo)(\.\w+)+"
)
"""Matches what Python's own library has of data classes, and the functions that pickles make them with."""

_OF_FRAMEWORKS = re.compile(
    r"(torch|numpy)(\.\w+)*\._?[A-Z]\w*"  # classes
    r"|torch\.(\w*?\d+\w*|bool|double|float|half|int|long|short|uint8|per_\w+|strided)"  # types of numbers
    r"|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2|torch\.serialization\._get_layout"
    r"|torch\.(Size|device|dtype|memory_format|layout)"
    r"|numpy\.(ndarray|dtype|matrix|[a-z]+\d+|bool_?)|numpy\._?core\.(multiarray\.(_reconstruct|scalar)|numeric\._frombuffer)"
    r"|numpy\.random\._pickle\.\w+"
)
"""Matches the classes of PyTorch and NumPy, their types of numbers, and what tensors and arrays are made of."""


def is_suspect(name: Name) -> bool:
    """Return whether no checkpoint has a reason to mention ``name``."""
    if name in GETATTR:  # only ever part of another name
        return False
    full = written(name)
    first = full.partition(".")[0]
    outer, *inner = name.name.split(".")
    if inner and (outer in sys.stdlib_module_names or any(part.startswith("__") for part in inner)):
        return True  # a module that another one has imported, or what is behind a class
    if first in sys.stdlib_module_names or first in IMPORT_MAPPING:
        return _DATA.fullmatch(full) is None
    return first in _FRAMEWORKS and _OF_FRAMEWORKS.fullmatch(full) is None


def is_foreign(name: Name) -> bool:
    """Return whether ``name`` belongs to another package than those that every checkpoint has objects of."""
    return written(name).partition(".")[0] not in (*_FRAMEWORKS, "builtins", "collections", "_codecs")


def written(name: Name) -> str:
    """Return the full name, with the module's name of Python 3."""
    return f"{IMPORT_MAPPING.get(name.module, name.module)}.{name.name}"


def class_of(call: Call) -> Name | None:
    """Return the class of what ``call`` makes, as far as it says."""
    function = call.function
    if isinstance(function, Name) and function.name == "_reconstructor" and call.arguments:
        function = call.arguments[0]
    return function if isinstance(function, Name) else None
