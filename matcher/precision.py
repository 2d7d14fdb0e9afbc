"""The precision that networks compute in."""

from __future__ import annotations

import torch

CPU_CAPABILITIES = ("avx512_bf16", "amx_bf16", "bf16")
"""Instructions that multiply bfloat16, the last on 64-bit Arm."""


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return a context in which networks compute in bfloat16 where `device` multiplies it, else in float32.

    A processor without such instructions emulates bfloat16, ten times slower than it computes in float32 (measured on
    an AVX2 processor), and some cannot train in it at all.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=_multiplies_bfloat16(device))


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cpu":
        return any(torch.cpu.get_capabilities().get(name, False) for name in CPU_CAPABILITIES)
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
