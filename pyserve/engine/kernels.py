"""The kernel ladder as data: sets of kernels from the fastest to `stock`, and which one is used.

A set that its CPU does not have, that fails its proof or that brings the engine down is left for
the next one. The ladder itself is the native module's (`native/include/pyserve/kernels.h`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

AUTOMATIC = "auto"


class KernelFall(msgspec.Struct, frozen=True):
    """A set of kernels that was expected and is not used, with the reason."""

    kernels: str
    reason: str


class KernelChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The set that is used. lower: the one to use when it brings the engine down, "" = none.

    falls: those above it that were expected, from the highest.
    """

    kernels: str
    lower: str = ""
    falls: tuple[KernelFall, ...] = ()


class KernelRung(msgspec.Struct, frozen=True):
    """One set. missing: what the CPU lacks, or its system does not grant; failure: of its proof.

    It can be used where both are "".
    """

    kernels: str
    missing: str
    failure: str


class CpuFeature(msgspec.Struct, frozen=True):
    """A feature of the CPU. is_shown: by the CPU. is_granted: the system lets programs use it."""

    name: str
    is_shown: bool
    is_granted: bool


class CpuReport(msgspec.Struct, frozen=True, kw_only=True):
    """The kernels that can be used on this CPU. ladder: all sets, from the highest.

    level: the CPUs that llama.cpp's own kernels are compiled for: "native", or a wheel's level.
    """

    level: str
    choice: KernelChoice
    ladder: Sequence[KernelRung]
    features: Sequence[CpuFeature]
