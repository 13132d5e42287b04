// LanguageModel: what generates text after a prompt: a DecoderModel, which goes on behind the prompt's own tokens, or a
// Seq2SeqModel, whose decoder attends to the encoded prompt. Const after it is loaded; a model may be used from many
// threads, a session from one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/model_files.h"
#include "engine/prefix_cache.h"
#include "engine/runtime.h"
#include "engine/sampler.h"
#include "engine/tokenizer.h"

namespace lastro::engine {

struct DecoderInfo {
  std::string name;           // the path's last component
  std::string fingerprint;    // SHA-256 over weights, config and tokenizer
  std::string architecture;   // "llama"
  int vocab_size = 0;         // of the logits; may exceed the tokenizer's
  int max_tokens = 0;         // context length: prompt and generated tokens together, or only these with an encoder
  int max_source_tokens = 0;  // of a prompt that an encoder reads; 0: there is none
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
  // the same time. `logits` (may be null with kNone) receives row-major [1 or tokens.size(), vocab_size] fp32. Prompts
  // are run in pieces; `context` is checked between pieces and layers. RESOURCE_EXHAUSTED when the session's capacity
  // or the model's KV memory would be exceeded (with the counts); CANCELLED, DEADLINE_EXCEEDED. On any error the cache
  // holds what it held before the call.
  virtual absl::Status Extend(absl::Span<const int32_t> tokens, LogitsOf which, const CallContext& context,
                              std::vector<float>* logits) = 0;

  // Another session that holds the same tokens, in the same memory until one of the two goes on.
  virtual std::unique_ptr<DecoderSession> Fork() const = 0;

  // Forgets all tokens from `length` on; those before it are no drafts any more (StepRequest). REQUIRES: 0 <= length <=
  // this->length().
  virtual void Truncate(int length) = 0;

  // How many sessions of the model its last step extended; 0 before the first.
  virtual int step_sessions() const = 0;

  // Whether the model's device chooses tokens (StepRequest::choices).
  virtual bool samples() const = 0;
};

// What Step does for one session.
struct StepRequest {
  DecoderSession* session = nullptr;
  absl::Span<const int32_t> tokens;
  LogitsOf logits_of = LogitsOf::kLast;
  std::vector<float>* logits = nullptr;  // as of DecoderSession::Extend
  absl::Status status;                   // set by Step
  // How many of the last tokens are guesses that may be taken back: they are not left to other texts
  // (OpenOptions::scope) before the session is extended again or truncated.
  size_t drafts = 0;
  // Where not empty, one of each row of logits, which are then not given: the device chooses the tokens (`sampled`,
  // resized). REQUIRES: session->samples(); choices of the model's vocabulary.
  absl::Span<const TokenChoice> choices = {};
  std::vector<kernels::SampledToken>* sampled = nullptr;
};

// Extends several sessions of one model (each at most once) in common forward passes: their tokens are the rows of one
// batch. Every request gets the status that Extend would give; an error of one leaves the others alone.
void Step(absl::Span<StepRequest> requests, const CallContext& context);

// Where a text begins: a session, and the tokens to be in it before the first of the text is chosen. It holds the first
// session->length() of them already, fewer than all.
struct Opening {
  std::unique_ptr<DecoderSession> session;
  std::vector<int32_t> tokens;  // the prompt; or, where an encoder has read it, what every target begins with
  int reused_tokens = 0;        // of those that the session holds, which were not computed for it
  absl::Span<const int32_t> left() const {
    return absl::MakeConstSpan(tokens).subspan(static_cast<size_t>(session->length()));
  }
};

class DecoderModel;
class LoraAdapter;

struct OpenOptions {
  const LoraAdapter* adapter = nullptr;  // of this model and outliving the session; null: none
  // Unless null, the session begins with what texts of this scope left, and leaves what it computes for others of it.
  const KvScope* scope = nullptr;
  // Sessions that will be forked from this one and live beside it.
  int forks = 0;
};

class LanguageModel {
 public:
  // A DecoderModel or a Seq2SeqModel, as the configuration says. `runtime` must outlive the model. Errors as
  // EmbeddingModel::Load.
  static absl::StatusOr<std::unique_ptr<LanguageModel>> Load(const std::string& path, const Runtime& runtime);
  virtual ~LanguageModel() = default;

  virtual const DecoderInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  virtual const ModelFiles& files() const = 0;
  // This model as a decoder, whose context holds prompt and text alike; null when it is none.
  virtual const DecoderModel* AsDecoder() const { return nullptr; }

  // The beginning of a text of up to `new_tokens` tokens after `prompt`. INVALID_ARGUMENT when the prompt is empty, has
  // an id that is none, or together with new_tokens exceeds what the model takes (the counts and the limit are in the
  // message; nothing is cut in silence). RESOURCE_EXHAUSTED where the text exceeds all KV memory. Waits while others
  // hold what it and its forks will need; CANCELLED and DEADLINE_EXCEEDED, also while an encoder reads. A caller that
  // holds a session may wait for itself.
  virtual absl::StatusOr<Opening> Open(absl::Span<const int32_t> prompt, int new_tokens, const OpenOptions& options,
                                       const CallContext& context) const = 0;

  // A LoRA adapter for this model, from a folder as PEFT writes it. UNIMPLEMENTED for a model that takes none; else as
  // LoraAdapter::Load. The model must outlive it.
  virtual absl::StatusOr<std::unique_ptr<const LoraAdapter>> LoadAdapter(const std::string& folder) const;
};

}  // namespace lastro::engine
