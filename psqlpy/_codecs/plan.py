"""ParameterPlan: the parameters of one statement, packed as psqlpy/_ffi/send.h reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from struct import error as StructError
from typing import TYPE_CHECKING, Any

from psqlpy._codecs.codec import NULL, TEXT, Codec, Dumped, Raw, pack, pack_text, text_bytes
from psqlpy.exceptions import ParameterTypeError, ParameterValueError

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

MAX_PARAMETERS = 65535  # the protocol counts them in 16 bits


class Unfit(Exception):
    """A value that can't become a value of the server's type. `wrong_type`: nor could any other of its Python type."""

    def __init__(self, value: object, reason: str, wrong_type: bool) -> None:
        super().__init__(reason)
        self.value = value
        self.reason = reason
        self.wrong_type = wrong_type


def dump(codec: Codec, value: Any, registry: Registry) -> Dumped:
    """Make what is sent for any value: the codec's own conversion, and what holds for every type. Raises Unfit."""
    while value is not None:
        try:
            if isinstance(value, str) and not codec.dumps_str:
                return TEXT, text_bytes(value)
            return codec.dump(value)
        except TypeError as error:
            try:
                unwrapped = registry.unwrap(value, codec.oid)
            except (TypeError, ValueError) as refusal:
                raise Unfit(value, str(refusal), isinstance(refusal, TypeError)) from None
            if isinstance(unwrapped, Raw):
                return unwrapped.format, unwrapped.data
            if unwrapped is value:
                raise Unfit(value, str(error), wrong_type=True) from None
            value = unwrapped
        except (ValueError, OverflowError, StructError, RecursionError) as error:
            raise Unfit(value, str(error), wrong_type=False) from None
    return TEXT, None


def unwrap_known(value: Any) -> Any:
    """Reduce wrappers and Enum members to their value, and NumPy's scalars and arrays to Python's."""
    type_name = getattr(type(value), "_psqlpy_type", None)
    if type_name is not None:  # psqlpy.extra_types: "" is CustomType, everything else is checked by the codec
        return value._psqlpy_value if type_name else Raw(value._psqlpy_value)
    if isinstance(value, Enum):
        return value.value
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        is_time = getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M")
        plain = _times(value) if is_time else value.tolist()
        # longdouble has nothing plainer.
        return value if type(plain) is type(value) else plain
    return value


def _times(value: Any) -> Any:
    """NumPy's times as Python's, finer ones too if they are whole microseconds. Raises ValueError."""
    if value.dtype.str.endswith(("ns]", "ps]", "fs]", "as]")):
        rounded = value.astype(f"{value.dtype.kind}8[us]")
        if not ((rounded == value) | (value != value)).all():  # NaT differs from itself
            raise ValueError("it is finer than a microsecond and would be rounded: use astype to round it")
        value = rounded
    # Where Python has no such value NumPy gives an int, which would be a number.
    if int in set(map(type, value.ravel().tolist())):
        raise ValueError(f"Python has no value for it: {value.dtype.name}")
    return value.tolist()


class ParameterPlan:
    """Encoders for a statement's parameters, chosen by the types that the server inferred."""

    __slots__ = ("_codecs", "_encoders", "_registry", "count", "oids")

    def __init__(self, oids: tuple[int, ...], codecs: Sequence[Codec], registry: Registry) -> None:
        self.oids = oids
        self.count = len(oids)
        self._codecs = tuple(codecs)
        self._registry = registry
        self._encoders = tuple(codec.fast or _plain_encoder(codec) for codec in codecs)

    def encode(self, parameters: Sequence[Any]) -> bytes:
        """Pack the values of one execution.

        Raises ParameterTypeError and ParameterValueError, which name the parameter by its number.
        """
        if type(parameters) is not list and type(parameters) is not tuple:
            check_sequence(parameters)
        if len(parameters) != self.count:
            raise self._wrong_count(parameters)
        try:
            if self.count == 1:
                value = parameters[0]
                return NULL if value is None else self._encoders[0](value)
            return b"".join(
                [
                    NULL if value is None else encode(value)
                    for encode, value in zip(self._encoders, parameters)  # noqa: B905  (checked above)
                ]
            )
        except Exception:
            # The fast encoders know the usual values only; why they failed on this one doesn't matter.
            return b"".join(self._encode_carefully(parameters))

    @property
    def columns(self) -> list[tuple[int | None, Callable[[Any], bytes]]]:
        """Of each parameter how C writes a column of them, see Codec.column, and what packs one usual value."""
        return [(codec.column, encode) for codec, encode in zip(self._codecs, self._encoders, strict=True)]

    def _encode_carefully(self, parameters: Sequence[Any]) -> Iterator[bytes]:
        for index, (codec, value) in enumerate(zip(self._codecs, parameters)):  # noqa: B905  (encode checked it)
            try:
                yield pack(*dump(codec, value, self._registry))
            except Unfit as error:
                raise _parameter_error(index, codec, value, error) from None

    def _wrong_count(self, parameters: Sequence[Any]) -> ParameterValueError:
        given = len(parameters)
        if given > MAX_PARAMETERS:
            return ParameterValueError(
                f"a statement can have {MAX_PARAMETERS} parameters, {given} given: pass an array instead"
            )
        noun = "parameter" if self.count == 1 else "parameters"
        advice = ": put a single value into a list" if isinstance(parameters, bytes) else ""
        return ParameterValueError(f"the statement takes {self.count} {noun}, {given} given{advice}")


def _plain_encoder(codec: Codec) -> Callable[[Any], bytes]:
    """Encode what needs no reduction: everything else raises, as in Codec.fast."""
    dump_value = codec.dump
    return lambda value: pack_text(value) if type(value) is str else pack(*dump_value(value))


def check_sequence(parameters: object) -> None:
    """Raise ParameterTypeError for what isn't a list of parameters, though some of it could be iterated over.

    Bytes are one, of ints, as they are in psqlpy.
    """
    if isinstance(parameters, Sequence) and not isinstance(parameters, (str, bytearray, memoryview)):
        return
    given = type(parameters).__name__
    raise ParameterTypeError(
        f"parameters must be a list or a tuple, not {given}: put a single value into a list"
    )


def _parameter_error(index: int, codec: Codec, value: object, error: Unfit) -> Exception:
    where = f"parameter ${index + 1} ({type(value).__name__} for {codec.name})"
    within = "" if error.value is value else f"{type(error.value).__name__} in it: "
    if error.wrong_type:
        reason = error.reason or f"a value of this type can't become {codec.name}"
        return ParameterTypeError(f"{where}: {within}{reason}")
    return ParameterValueError(f"{where}: {within}{error.reason}")
