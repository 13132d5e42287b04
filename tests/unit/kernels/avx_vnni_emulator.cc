#include "tests/unit/kernels/avx_vnni_emulator.h"

#if defined(__x86_64__)
#include <signal.h>
#include <ucontext.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/check.h"

namespace lastro::kernels {
namespace {

// An instruction's operands; numbers of registers.
struct Instruction {
  bool words;  // VPDPWSSD, else VPDPBUSD
  int vector_bytes;
  int sum, first;
  int second;           // in a register,
  const void* address;  // or in memory if not null
  int length;
};

constexpr std::array<int, 16> kGeneralRegisters = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                                   REG_R12, REG_R13, REG_R14, REG_R15};

template <typename T>
T Read(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// Reads ModR/M, and what follows it, of an instruction whose ModR/M is at `p` and which nothing follows. `extend` holds
// the bits 3 of registers: R, X, B.
class Operands {
 public:
  Operands(const uint8_t* p, std::array<bool, 3> extend, const greg_t* registers)
      : at_(p + 1), extend_(extend), registers_(registers) {
    reg = (*p >> 3 & 7) + 8 * extend[0];
    const int mode = *p >> 6, rm = *p & 7;
    if (mode == 3) {
      rm_register = rm + 8 * extend[2];
    } else {
      address = Address(mode, rm);
    }
    end = at_;
  }

  int reg = 0, rm_register = 0;
  const void* address = nullptr;
  const uint8_t* end = nullptr;

 private:
  uint64_t Register(int number, int extension) const {
    return static_cast<uint64_t>(
        registers_[kGeneralRegisters[static_cast<size_t>(number + 8 * extend_[static_cast<size_t>(extension)])]]);
  }
  template <typename T>
  uint64_t Displacement() {
    const T value = Read<T>(at_);
    at_ += sizeof(T);
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  }
  const void* Address(int mode, int rm) {
    uint64_t sum = 0;
    if (rm == 4) {
      const int sib = *at_++, index = sib >> 3 & 7, base = sib & 7;
      if (index != 4 || extend_[1]) sum += Register(index, 1) << (sib >> 6);
      sum += base == 5 && mode == 0 ? Displacement<int32_t>() : Register(base, 2);
    } else if (rm == 5 && mode == 0) {
      sum = Displacement<int32_t>();
      sum += reinterpret_cast<uint64_t>(at_);  // of the next instruction
    } else {
      sum = Register(rm, 2);
    }
    if (mode == 1) sum += Displacement<int8_t>();
    if (mode == 2) sum += Displacement<int32_t>();
    return reinterpret_cast<const void*>(sum);
  }

  const uint8_t* at_;
  std::array<bool, 3> extend_;
  const greg_t* registers_;
};

// VEX.66.0F38.W0 50 or 52 /r.
std::optional<Instruction> Decode(const uint8_t* p, const greg_t* registers) {
  if (p[0] != 0xC4 || (p[1] & 0x1F) != 2 || (p[2] & 0x83) != 1 || (p[3] != 0x50 && p[3] != 0x52)) return std::nullopt;
  const Operands operands(p + 4, {(p[1] & 0x80) == 0, (p[1] & 0x40) == 0, (p[1] & 0x20) == 0}, registers);
  return Instruction{
      p[3] == 0x52,     (p[2] & 4) != 0 ? 32 : 16,         operands.reg, ~(p[2] >> 3) & 15, operands.rm_register,
      operands.address, static_cast<int>(operands.end - p)};
}

// The vector registers that the kernel saved.
class SavedVectors {
 public:
  explicit SavedVectors(fpregset_t saved) : low_(reinterpret_cast<uint8_t*>(saved) + 160) {
    uint8_t* const bytes = reinterpret_cast<uint8_t*>(saved);
    constexpr uint32_t kExtended = 0x46505853;  // "SXPF", where what XSAVE wrote follows the first 512 bytes
    LASTRO_CHECK(Read<uint32_t>(bytes + 464) == kExtended);
    constexpr uint64_t kSse = 2, kAvx = 4;
    const uint64_t present = Read<uint64_t>(bytes + 512), all = present | kSse | kAvx;
    high_ = bytes + 576;
    if ((present & kSse) == 0) std::memset(low_, 0, 256);
    if ((present & kAvx) == 0) std::memset(high_, 0, 256);
    std::memcpy(bytes + 512, &all, sizeof(all));
  }

  void Get(int number, uint8_t* to) const {
    std::memcpy(to, low_ + 16 * number, 16);
    std::memcpy(to + 16, high_ + 16 * number, 16);
  }
  void Set(int number, const uint8_t* from) {
    std::memcpy(low_ + 16 * number, from, 16);
    std::memcpy(high_ + 16 * number, from + 16, 16);
  }

 private:
  uint8_t *low_, *high_;  // 16 bytes of each register
};

// Modulo 2^32, as the instructions add.
uint32_t Products(bool words, const uint8_t* first, const uint8_t* second) {
  uint32_t sum = 0;
  const auto add = [&sum](int product) { sum += static_cast<uint32_t>(product); };
  if (words) {
    for (int i = 0; i < 4; i += 2) add(Read<int16_t>(first + i) * Read<int16_t>(second + i));
  } else {
    for (int i = 0; i < 4; ++i) add(first[i] * Read<int8_t>(second + i));
  }
  return sum;
}

void Execute(const Instruction& what, SavedVectors vectors) {
  uint8_t sums[32], first[32], second[32];
  vectors.Get(what.sum, sums);
  vectors.Get(what.first, first);
  vectors.Get(what.second, second);
  if (what.address != nullptr) std::memcpy(second, what.address, static_cast<size_t>(what.vector_bytes));
  for (int i = 0; i < what.vector_bytes; i += 4) {
    const uint32_t sum = Read<uint32_t>(sums + i) + Products(what.words, first + i, second + i);
    std::memcpy(sums + i, &sum, sizeof(sum));
  }
  std::memset(sums + what.vector_bytes, 0, static_cast<size_t>(32 - what.vector_bytes));
  vectors.Set(what.sum, sums);
}

// Does all such instructions up to the first of another kind: a signal costs more than they do.
void OnIllegalInstruction(int, siginfo_t*, void* context) {
  mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  greg_t& at = machine.gregs[REG_RIP];
  const greg_t begin = at;
  while (const auto what = Decode(reinterpret_cast<const uint8_t*>(at), machine.gregs)) {
    Execute(*what, SavedVectors(machine.fpregs));
    at += what->length;
  }
  if (at == begin) signal(SIGILL, SIG_DFL);  // which ends the process, when the instruction is met again
}

}  // namespace

bool NeedsAvxVnniEmulation() { return __builtin_cpu_supports("avxvnni") == 0; }

void EmulateAvxVnni() {
  if (!NeedsAvxVnniEmulation()) return;
  struct sigaction action = {};
  action.sa_sigaction = OnIllegalInstruction;
  action.sa_flags = SA_SIGINFO;
  LASTRO_CHECK(sigaction(SIGILL, &action, nullptr) == 0);
}

}  // namespace lastro::kernels
#else
namespace lastro::kernels {
bool NeedsAvxVnniEmulation() { return true; }
void EmulateAvxVnni() {}
}  // namespace lastro::kernels
#endif
