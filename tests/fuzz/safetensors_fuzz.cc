// ParseSafetensors on any bytes: what it accepts covers the data section exactly, and every byte can be read.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "engine/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto tensors = lastro::engine::ParseSafetensors({data, size}, "fuzz");
  if (!tensors.ok()) return 0;
  uint64_t header = 0;
  for (size_t i = 8; i-- > 0;) header = header << 8 | data[i];
  size_t covered = 0;
  unsigned sum = 0;
  for (const auto& [name, tensor] : *tensors) {
    LASTRO_CHECK(tensor.data.size() % static_cast<size_t>(lastro::engine::BlockOf(tensor.type).bytes) == 0);
    for (uint8_t byte : tensor.data) sum += byte;
    covered += tensor.data.size();
  }
  LASTRO_CHECK(covered == size - 8 - header, std::to_string(sum));
  return 0;
}
