#include "engine/generator.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/stop_matcher.h"

namespace lastro::engine {
namespace {

constexpr size_t kMaxStops = 64;
constexpr size_t kMaxStopBytes = 4096;
constexpr int kMaxTopLogprobs = 1000;
// Tokens of continuations whose logits are held at once.
constexpr size_t kScorePiece = 128;
// Continuations that are scored at once.
constexpr size_t kScoreForks = 16;

double MillisSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

absl::Status CheckOptions(const GenerateOptions& options) {
  LASTRO_RETURN_IF_ERROR(options.sampling.Validate());
  if (options.max_new_tokens < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_new_tokens = ", options.max_new_tokens, " is out of range; at least 1"));
  }
  if (options.top_logprobs < -1 || options.top_logprobs > kMaxTopLogprobs) {
    return absl::InvalidArgumentError(
        absl::StrCat("top_logprobs = ", options.top_logprobs, " is out of range [-1, ", kMaxTopLogprobs, "]"));
  }
  if (options.stop.size() > kMaxStops) {
    return absl::InvalidArgumentError(
        absl::StrCat("stop: ", options.stop.size(), " strings; at most ", kMaxStops, " are allowed"));
  }
  for (const std::string& stop : options.stop) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("stop: a string of ", stop.size(), " bytes; 1 to ", kMaxStopBytes, " are allowed"));
    }
  }
  return absl::OkStatus();
}

bool Contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// The state of one generated text.
class Generation {
 public:
  Generation(const LanguageModel& model, const GenerateOptions& options, const TokenSink& sink)
      : model_(model),
        options_(options),
        sink_(sink),
        sampler_(options.sampling),
        decoder_(model.tokenizer()),
        stops_(options.stop),
        end_ids_(options.stop_ids) {
    if (options.ignore_eos) return;
    end_ids_.insert(end_ids_.end(), model.info().eos_ids.begin(), model.info().eos_ids.end());
  }

  absl::StatusOr<GenerateResult> Run(absl::Span<const int32_t> prompt, const CallContext& context);

 private:
  // The next token, as the constraint (if any) allows.
  absl::StatusOr<int32_t> Choose();
  // Samples a token from logits_, adds it to the result and shows it; sets `done` when the text has ended.
  absl::Status Step(bool* done);
  // The text that `id` makes safe to show; with `last`, also all that is held back.
  std::string TextOf(int32_t id, bool last);
  // What is held back, at the end of the text. The token that ends a text shows this and nothing of its own.
  std::string HeldText();

  const LanguageModel& model_;
  const GenerateOptions& options_;
  const TokenSink& sink_;
  Sampler sampler_;
  StreamDecoder decoder_;
  StopMatcher stops_;
  std::vector<int32_t> end_ids_;  // those that end the text
  std::vector<int32_t> seen_;     // Opening::tokens and generated
  size_t opening_tokens_ = 0;
  std::vector<float> logits_;
  std::vector<float> allowed_;  // logits_ with what the constraint forbids masked
  GenerateResult result_;
};

std::string Generation::HeldText() {
  std::string text = stops_.Push(decoder_.Finish());
  text += stops_.Finish();
  return text;
}

std::string Generation::TextOf(int32_t id, bool last) {
  std::string text = stops_.Push(decoder_.Push(id));
  if (last) text += HeldText();
  return text;
}

absl::StatusOr<int32_t> Generation::Choose() {
  const absl::Span<const int32_t> opening = absl::MakeConstSpan(seen_).first(opening_tokens_);
  const absl::Span<const int32_t> generated = absl::MakeConstSpan(seen_).subspan(opening_tokens_);
  if (options_.constraint == nullptr) return sampler_.Sample(logits_, opening, generated);
  allowed_ = logits_;
  LASTRO_RETURN_IF_ERROR(options_.constraint->Mask(end_ids_, absl::MakeSpan(allowed_)));
  LASTRO_ASSIGN_OR_RETURN(int32_t id, sampler_.Sample(allowed_, opening, generated));
  if (!Contains(end_ids_, id)) LASTRO_RETURN_IF_ERROR(options_.constraint->Accept(id));
  return id;
}

absl::Status Generation::Step(bool* done) {
  GeneratedToken token;
  LASTRO_ASSIGN_OR_RETURN(token.id, Choose());
  if (options_.top_logprobs >= 0) token.logprob = LogprobOf(logits_, token.id);
  if (options_.top_logprobs > 0) token.top = TopLogprobs(logits_, options_.top_logprobs);
  const bool ended = Contains(end_ids_, token.id);
  const bool full = static_cast<int>(result_.tokens.size()) + 1 == options_.max_new_tokens;
  const bool whole = !ended && options_.constraint != nullptr && options_.constraint->MustEnd();
  token.text = ended ? HeldText() : TextOf(token.id, full || whole);
  *done = ended || full || whole || stops_.found();
  result_.finish = stops_.found()   ? FinishReason::kStopString
                   : ended || whole ? FinishReason::kEndOfText
                                    : FinishReason::kMaxTokens;
  result_.text += token.text;
  seen_.push_back(token.id);
  result_.tokens.push_back(std::move(token));
  return sink_ ? sink_(result_.tokens.back()) : absl::OkStatus();
}

absl::StatusOr<GenerateResult> Generation::Run(absl::Span<const int32_t> prompt, const CallContext& context) {
  result_.prompt_tokens = static_cast<int>(prompt.size());
  auto start = std::chrono::steady_clock::now();
  const OpenOptions open = {options_.adapter, options_.scope.has_value() ? &*options_.scope : nullptr};
  LASTRO_ASSIGN_OR_RETURN(Opening opening, model_.Open(prompt, options_.max_new_tokens, open, context));
  DecoderSession* const session = opening.session.get();
  result_.reused_tokens = session->length();
  LASTRO_RETURN_IF_ERROR(session->Extend(opening.left(), LogitsOf::kLast, context, &logits_));
  seen_ = std::move(opening.tokens);
  opening_tokens_ = seen_.size();
  result_.prefill_ms = MillisSince(start);
  start = std::chrono::steady_clock::now();
  for (;;) {
    bool done = false;
    LASTRO_RETURN_IF_ERROR(Step(&done));
    if (done) break;
    LASTRO_RETURN_IF_ERROR(session->Extend(absl::MakeConstSpan(&seen_.back(), 1), LogitsOf::kLast, context, &logits_));
  }
  result_.decode_ms = MillisSince(start);
  return std::move(result_);
}

// Adds log p of tokens[begin, end) to `score`; `logits` holds one row before each of them.
void AddLogprobs(absl::Span<const float> logits, size_t vocab, absl::Span<const int32_t> tokens,
                 ContinuationScore* score) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    score->logprob += LogprobOf(logits.subspan(i * vocab, vocab), tokens[i]);
    ++score->tokens;
  }
}

// A continuation on its way, in a fork of the prompt's session.
struct OpenContinuation {
  absl::Span<const int32_t> tokens;
  ContinuationScore* score;
  std::unique_ptr<DecoderSession> session;
  size_t computed = 0;
  std::vector<float> logits = {};

  // The last token needs no pass of its own: nothing is predicted after it.
  size_t left() const { return tokens.size() - 1 - computed; }
};

// Scores what follows the next tokens of `open`, kScorePiece of all of them together.
absl::Status Advance(absl::Span<OpenContinuation> open, size_t vocab, const CallContext& context) {
  std::vector<StepRequest> requests;
  size_t budget = kScorePiece;
  for (OpenContinuation& c : open) {
    const size_t count = std::min(budget, c.left());
    budget -= count;
    requests.push_back(
        {c.session.get(), c.tokens.subspan(c.computed, count), LogitsOf::kAll, &c.logits, absl::OkStatus()});
  }
  engine::Step(absl::MakeSpan(requests), context);
  for (size_t i = 0; i < open.size(); ++i) {
    LASTRO_RETURN_IF_ERROR(requests[i].status);
    OpenContinuation& c = open[i];
    const size_t count = requests[i].tokens.size();
    AddLogprobs(c.logits, vocab, c.tokens.subspan(c.computed + 1, count), c.score);
    c.computed += count;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ContinuationScore>> ScoreAfter(const DecoderSession& prompt,
                                                          absl::Span<const float> prompt_logits, size_t vocab,
                                                          absl::Span<const std::vector<int32_t>> continuations,
                                                          const CallContext& context) {
  std::vector<ContinuationScore> scores(continuations.size());
  std::vector<OpenContinuation> open;
  size_t next = 0;
  for (;;) {
    open.erase(std::remove_if(open.begin(), open.end(), [](const OpenContinuation& c) { return c.left() == 0; }),
               open.end());
    for (; open.size() < kScoreForks && next < continuations.size(); ++next) {
      const absl::Span<const int32_t> tokens = continuations[next];
      if (tokens.empty()) continue;
      AddLogprobs(prompt_logits, vocab, tokens.subspan(0, 1), &scores[next]);
      if (tokens.size() > 1) open.push_back({tokens, &scores[next], prompt.Fork()});
    }
    if (open.empty()) return scores;
    LASTRO_RETURN_IF_ERROR(Advance(absl::MakeSpan(open), vocab, context));
  }
}

}  // namespace

absl::StatusOr<GenerateResult> Generate(const LanguageModel& model, absl::Span<const int32_t> prompt,
                                        const GenerateOptions& options, const CallContext& context,
                                        const TokenSink& sink) {
  LASTRO_RETURN_IF_ERROR(CheckOptions(options));
  return Generation(model, options, sink).Run(prompt, context);
}

absl::StatusOr<ContinuationScores> ScoreContinuations(const LanguageModel& model, absl::Span<const int32_t> prompt,
                                                      absl::Span<const std::vector<int32_t>> continuations,
                                                      const OpenOptions& options, const CallContext& context) {
  size_t longest = 0;
  const int32_t vocab = model.info().vocab_size;
  for (const std::vector<int32_t>& tokens : continuations) {
    longest = std::max(longest, tokens.size());
    for (int32_t id : tokens) {
      if (id < 0 || id >= vocab) {
        return absl::InvalidArgumentError(
            absl::StrCat("token id ", id, " is not in the vocabulary of ", vocab, " ids"));
      }
    }
  }
  OpenOptions open = options;
  open.forks = static_cast<int>(std::min(kScoreForks, continuations.size()));
  LASTRO_ASSIGN_OR_RETURN(Opening opening, model.Open(prompt, static_cast<int>(longest), open, context));
  DecoderSession* const session = opening.session.get();
  ContinuationScores result;
  result.reused_tokens = session->length();
  std::vector<float> prompt_logits;
  LASTRO_RETURN_IF_ERROR(session->Extend(opening.left(), LogitsOf::kLast, context, &prompt_logits));
  LASTRO_ASSIGN_OR_RETURN(result.scores,
                          ScoreAfter(*session, prompt_logits, static_cast<size_t>(vocab), continuations, context));
  return result;
}

}  // namespace lastro::engine
