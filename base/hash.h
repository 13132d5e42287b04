// Content hashes. SHA-256 wherever equality of content is decided (documents, chunks, model files); thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace lastro {

// Lower-case hexadecimal SHA-256 of `bytes` (64 characters).
std::string Sha256Hex(absl::string_view bytes);

// SHA-256 of bytes given in pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void Update(absl::string_view bytes);
  std::string FinishHex();  // once

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// XXH3, 64 bits: fast, not for adversarial input.
uint64_t Hash64(absl::string_view bytes);

}  // namespace lastro
