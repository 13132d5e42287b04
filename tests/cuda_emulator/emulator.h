// The execution model of CUDA on one CPU core, so that the kernels of kernels/cuda run, unchanged, where there is no
// GPU: every thread of a block is a fiber; blocks run one after the other. include/cuda_runtime.h and its neighbours
// give the kernels the names they expect.
//
// What it shows: wrong indexing (device memory is heap memory, so ASan sees every byte out of bounds; memory starts as
// NaN), a missing barrier (threads run in an order that changes from round to round), a barrier that some threads do
// not reach, launches beyond the hardware's limits, a kernel that may overlap the one ahead and does not await it
// first, a host that does not wait for what it reads or frees (runtime.cc). What it cannot show: memory ordering,
// speed, compiler errors in device code, cuBLASLt's choices.
//
// Launches are serialised; every function below the line is for code inside a kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace cuda_emulator {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

struct Thread {
  Index3 index;
  int lane = 0;
  int warp = 0;
};

// Limits of the device that is emulated (Hopper).
inline constexpr size_t kMaxThreads = 1024;
inline constexpr size_t kMaxShared = 227 * 1024;
inline constexpr size_t kMaxSharedUnasked = 48 * 1024;
inline constexpr unsigned kMaxGridX = 2147483647u, kMaxGridYz = 65535u;

// Runs `body` once a thread. Aborts with a message when threads wait for each other for ever, and with `overlaps` when
// one ends, or meets another, before AwaitPriorKernel.
void Run(Index3 grid, Index3 block, size_t shared_bytes, bool overlaps, const std::function<void()>& body);

// ---- inside a kernel

extern thread_local const Thread* current_thread;

void AwaitPriorKernel();   // the kernel ahead is long done
uint8_t* DynamicShared();  // as many bytes as the launch says, 128-byte aligned; NaN at the start of a block
void SyncBlock();
void SyncWarp(unsigned mask);

// Every thread of `mask` gives `bytes` (at most kSlotBytes) and gets the array of what each lane gave.
inline constexpr size_t kSlotBytes = 32;
struct Slot {
  alignas(16) uint8_t bytes[kSlotBytes];
};
const Slot* Exchange(unsigned mask, const void* value, size_t bytes);

}  // namespace cuda_emulator

// As CUDA names them.
extern thread_local cuda_emulator::Index3 blockIdx, blockDim, gridDim;
