// AVX-VNNI for CPUs without it: what such a CPU refuses (VPDPBUSD and VPDPWSSD of the VEX encoding) is done by a
// handler of SIGILL, so that tests run the very code that CPUs with the instructions run. Far slower than they are.
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volumes 1 (XSAVE) and 2 (VEX, ModR/M, VPDP*).
#pragma once

namespace lastro::kernels {

// From now on, for good, in every thread; nothing where the CPU has the instructions. Any other illegal instruction
// ends the process as before. REQUIRES: a CPU with AVX2.
void EmulateAvxVnni();

// Whether the CPU lacks them.
bool NeedsAvxVnniEmulation();

}  // namespace lastro::kernels
