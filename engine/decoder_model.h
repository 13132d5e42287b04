// DecoderModel: a causal language model loaded from a Hugging Face folder or a GGUF file. Weights are const after Load
// and memory-mapped where they can be; the state of a request (its KV cache) is a DecoderSession. A model may be used
// from many threads; a session from one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/runtime.h"
#include "engine/tokenizer.h"

namespace lastro::engine {

struct DecoderInfo {
  std::string name;          // the path's last component
  std::string fingerprint;   // SHA-256 over weights, config and tokenizer
  std::string architecture;  // "llama"
  int vocab_size = 0;        // of the logits; may exceed the tokenizer's
  int max_tokens = 0;        // context length, prompt and generated tokens together
  int layers = 0;
  int hidden_size = 0;
  int64_t parameters = 0;
  int64_t weight_bytes = 0;
  std::vector<int32_t> eos_ids;
  int32_t bos_id = -1;  // -1: none
};

// Which positions of an Extend call give logits.
enum class LogitsOf { kNone, kLast, kAll };

class DecoderSession {
 public:
  virtual ~DecoderSession() = default;

  virtual int length() const = 0;  // tokens in the cache

  // Runs `tokens` after those already in the cache, in steps that sessions of the model share when they are extended at
  // the same time. `logits` (may be null with kNone) receives row-major
  // [1 or tokens.size(), vocab_size] fp32. Prompts are run in pieces; `context` is checked between pieces and layers.
  // RESOURCE_EXHAUSTED when the session's capacity or the model's KV memory would be exceeded (with the counts);
  // CANCELLED, DEADLINE_EXCEEDED. On any error the cache holds what it held before the call.
  virtual absl::Status Extend(absl::Span<const int32_t> tokens, LogitsOf which, const CallContext& context,
                              std::vector<float>* logits) = 0;

  // Another session that holds the same tokens, in the same memory until one of the two goes on.
  virtual std::unique_ptr<DecoderSession> Fork() const = 0;

  // Forgets all tokens from `length` on. REQUIRES: 0 <= length <= this->length().
  virtual void Truncate(int length) = 0;
};

// What Step does for one session.
struct StepRequest {
  DecoderSession* session = nullptr;
  absl::Span<const int32_t> tokens;
  LogitsOf logits_of = LogitsOf::kLast;
  std::vector<float>* logits = nullptr;  // as of DecoderSession::Extend
  absl::Status status;                   // set by Step
};

// Extends several sessions of one model (each at most once) in common forward passes: their tokens are the rows of one
// batch. Every request gets the status that Extend would give; an error of one leaves the others alone.
void Step(absl::Span<StepRequest> requests, const CallContext& context);

class DecoderModel {
 public:
  // `runtime` must outlive the model. Errors as EmbeddingModel::Load.
  static absl::StatusOr<std::unique_ptr<DecoderModel>> Load(const std::string& folder, const Runtime& runtime);
  virtual ~DecoderModel() = default;

  virtual const DecoderInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;

  // An empty session for up to `capacity_tokens` (at most info().max_tokens), which takes KV memory as it grows.
  // INVALID_ARGUMENT when out of range; RESOURCE_EXHAUSTED when the KV memory could not hold it even alone.
  virtual absl::StatusOr<std::unique_ptr<DecoderSession>> NewSession(int capacity_tokens) const = 0;
};

}  // namespace lastro::engine
