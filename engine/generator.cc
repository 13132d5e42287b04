#include "engine/generator.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/stop_matcher.h"
#include "kernels/kernels.h"

namespace lastro::engine {
namespace {

constexpr size_t kMaxStops = 64;
constexpr size_t kMaxStopBytes = 4096;
constexpr int kMaxTopLogprobs = 1000;
// Tokens of continuations whose logits are held at once.
constexpr size_t kScorePiece = 128;
// Continuations that are scored at once.
constexpr size_t kScoreForks = 16;
// Rows of a step, of all its sessions together, up to which drafts are added.
constexpr int kDraftedRows = PromptLookup::kMaxTokens + 1;
static_assert(kDraftedRows <= kernels::kMaxGemvRows, "steps with drafts take the kernels of steps without");

double MillisSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

absl::Status CheckOptions(const GenerateOptions& options) {
  LASTRO_RETURN_IF_ERROR(options.sampling.Validate());
  if (options.max_new_tokens < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_new_tokens = ", options.max_new_tokens, " is out of range; at least 1"));
  }
  if (options.draft_tokens < 0 || options.draft_tokens > PromptLookup::kMaxTokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("draft_tokens = ", options.draft_tokens, " is out of range [0, ", PromptLookup::kMaxTokens, "]"));
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
    // The last token of a text is chosen, not computed: drafts are of use before that.
    if (options.draft_tokens > 0 && options.max_new_tokens > 2) lookup_.emplace(options.draft_tokens);
    if (options.ignore_eos) return;
    end_ids_.insert(end_ids_.end(), model.info().eos_ids.begin(), model.info().eos_ids.end());
  }

  absl::StatusOr<GenerateResult> Run(absl::Span<const int32_t> prompt, const CallContext& context);

 private:
  // Opens the session and computes what the text begins behind.
  absl::Status Begin(absl::Span<const int32_t> prompt, const CallContext& context);
  // Runs `tokens` with `drafts` behind them: the rows that follow, of the last of `tokens` and each draft, go into
  // sampled_ or logits_.
  absl::Status Compute(absl::Span<const int32_t> tokens, size_t drafts, const CallContext& context);
  // The next token from row `row`, as the constraint (if any) allows, with what is to be known of its probability.
  absl::StatusOr<GeneratedToken> Choose(size_t row);
  absl::StatusOr<int32_t> ChooseFrom(absl::Span<const float> logits);
  absl::StatusOr<GeneratedToken> TakeSampled(const kernels::SampledToken& sampled);
  // Chooses a token from a row, adds it to the result and shows it; sets `done` when the text has ended.
  absl::Status Step(size_t row, bool* done);
  // Steps through the rows: the first, and the next as long as what was chosen is what was drafted. The
  // session then holds all of the text but its last token.
  absl::Status StepThroughDrafts(const CallContext& context, bool* done);
  // What the next step computes, into step_: the last token, and what may follow it.
  void Draft();
  // Computes step_.
  absl::Status Extend(const CallContext& context);
  // The text goes on with `token`.
  void Append(int32_t token);
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
  std::unique_ptr<DecoderSession> session_;
  std::optional<PromptLookup> lookup_;  // of the prompt and seen_
  std::vector<int32_t> step_;           // the last token before the step and the drafts behind it; empty at the start
  bool device_chooses_ = false;
  std::vector<kernels::SampledToken> sampled_;  // [max(1, step_.size())] where the device chooses
  std::vector<float> logits_;                   // else [max(1, step_.size()), vocab_size]
  std::vector<float> allowed_;                  // a row of logits_ with what the constraint forbids masked
  GenerateResult result_;
};

std::string Generation::HeldText() {
  // A constraint holds to the end: what a cut text has of its last character is no part of it.
  std::string text = stops_.Push(options_.constraint == nullptr ? decoder_.Finish() : decoder_.FinishWhole());
  text += stops_.Finish();
  return text;
}

std::string Generation::TextOf(int32_t id, bool last) {
  std::string text = stops_.Push(decoder_.Push(id));
  if (last) text += HeldText();
  return text;
}

void Generation::Append(int32_t token) {
  seen_.push_back(token);
  if (lookup_.has_value()) lookup_->Push(token);
}

absl::StatusOr<int32_t> Generation::ChooseFrom(absl::Span<const float> logits) {
  const absl::Span<const int32_t> opening = absl::MakeConstSpan(seen_).first(opening_tokens_);
  const absl::Span<const int32_t> generated = absl::MakeConstSpan(seen_).subspan(opening_tokens_);
  if (options_.constraint == nullptr) return sampler_.Sample(logits, opening, generated);
  allowed_.assign(logits.begin(), logits.end());
  LASTRO_RETURN_IF_ERROR(options_.constraint->Mask(end_ids_, absl::MakeSpan(allowed_)));
  LASTRO_ASSIGN_OR_RETURN(int32_t id, sampler_.Sample(allowed_, opening, generated));
  if (!Contains(end_ids_, id)) LASTRO_RETURN_IF_ERROR(options_.constraint->Accept(id));
  return id;
}

absl::StatusOr<GeneratedToken> Generation::TakeSampled(const kernels::SampledToken& sampled) {
  if (sampled.id < 0) return NoFiniteLogit();
  sampler_.Advance();
  GeneratedToken token;
  token.id = sampled.id;
  if (options_.top_logprobs >= 0) token.logprob = sampled.logit - sampled.log_sum;
  return token;
}

absl::StatusOr<GeneratedToken> Generation::Choose(size_t row) {
  if (device_chooses_) return TakeSampled(sampled_[row]);
  const size_t vocab = static_cast<size_t>(model_.info().vocab_size);
  const absl::Span<const float> logits = absl::MakeConstSpan(logits_).subspan(row * vocab, vocab);
  GeneratedToken token;
  LASTRO_ASSIGN_OR_RETURN(token.id, ChooseFrom(logits));
  if (options_.top_logprobs >= 0) token.logprob = LogprobOf(logits, token.id);
  if (options_.top_logprobs > 0) token.top = TopLogprobs(logits, options_.top_logprobs);
  return token;
}

absl::Status Generation::Step(size_t row, bool* done) {
  LASTRO_ASSIGN_OR_RETURN(GeneratedToken token, Choose(row));
  const bool ended = Contains(end_ids_, token.id);
  const bool full = static_cast<int>(result_.tokens.size()) + 1 == options_.max_new_tokens;
  const bool whole = !ended && options_.constraint != nullptr && options_.constraint->MustEnd();
  token.text = ended ? HeldText() : TextOf(token.id, full || whole);
  *done = ended || full || whole || stops_.found();
  result_.finish = stops_.found()   ? FinishReason::kStopString
                   : ended || whole ? FinishReason::kEndOfText
                                    : FinishReason::kMaxTokens;
  result_.text += token.text;
  Append(token.id);
  result_.tokens.push_back(std::move(token));
  return sink_ ? sink_(result_.tokens.back()) : absl::OkStatus();
}

absl::Status Generation::StepThroughDrafts(const CallContext& context, bool* done) {
  for (size_t row = 0;; ++row) {
    LASTRO_RETURN_IF_ERROR(Step(row, done));
    if (*done || row + 1 >= step_.size() || seen_.back() != step_[row + 1]) break;
    LASTRO_RETURN_IF_ERROR(context.Check());
    ++result_.accepted_tokens;
  }
  session_->Truncate(static_cast<int>(seen_.size()) - 1);
  return absl::OkStatus();
}

void Generation::Draft() {
  step_ = {seen_.back()};
  if (!lookup_.has_value()) return;
  const int left = options_.max_new_tokens - static_cast<int>(result_.tokens.size());
  const int rows = std::min(left, kDraftedRows / std::max(1, session_->step_sessions()));
  for (int32_t id : lookup_->Guess(rows - 1)) {
    if (Contains(end_ids_, id)) break;  // nothing is chosen behind it
    step_.push_back(id);
  }
}

absl::Status Generation::Compute(absl::Span<const int32_t> tokens, size_t drafts, const CallContext& context) {
  const LogitsOf rows = tokens.size() == drafts + 1 ? LogitsOf::kAll : LogitsOf::kLast;
  StepRequest request = {session_.get(), tokens, rows, &logits_, absl::OkStatus(), drafts};
  std::vector<TokenChoice> choices;
  if (device_chooses_) {
    std::vector<int32_t> text = seen_;  // as it is if the drafts before a row are what it goes on with
    for (size_t row = 0; row <= drafts; ++row) {
      if (row > 0) text.push_back(tokens[tokens.size() - drafts + row - 1]);
      const absl::Span<const int32_t> opening = absl::MakeConstSpan(text).first(opening_tokens_);
      const absl::Span<const int32_t> generated = absl::MakeConstSpan(text).subspan(opening_tokens_);
      LASTRO_ASSIGN_OR_RETURN(TokenChoice choice, sampler_.Plan(opening, generated, model_.info().vocab_size, row));
      choices.push_back(std::move(choice));
    }
    request.choices = choices;
    request.sampled = &sampled_;
  }
  engine::Step(absl::MakeSpan(&request, 1), context);
  return request.status;
}

absl::Status Generation::Extend(const CallContext& context) {
  const absl::Status status = Compute(step_, step_.size() - 1, context);
  if (absl::IsResourceExhausted(status) && step_.size() > 1) {  // of KV memory: the last token needs less
    step_.erase(step_.begin() + 1, step_.end());
    return Extend(context);
  }
  ++result_.decoding_steps;
  result_.drafted_tokens += static_cast<int>(step_.size()) - 1;
  return status;
}

absl::Status Generation::Begin(absl::Span<const int32_t> prompt, const CallContext& context) {
  result_.prompt_tokens = static_cast<int>(prompt.size());
  const OpenOptions open = {options_.adapter, options_.scope.has_value() ? &*options_.scope : nullptr};
  LASTRO_ASSIGN_OR_RETURN(Opening opening, model_.Open(prompt, options_.max_new_tokens, open, context));
  result_.reused_tokens = opening.reused_tokens;
  session_ = std::move(opening.session);
  device_chooses_ = session_->samples() && options_.constraint == nullptr && options_.top_logprobs <= 0 &&
                    model_.info().vocab_size <= kernels::kMaxSampledVocabulary;
  opening_tokens_ = opening.tokens.size();
  // Where an encoder has read the prompt, its tokens are of the same vocabulary.
  if (lookup_.has_value() && model_.info().max_source_tokens > 0) {
    for (int32_t id : prompt) lookup_->Push(id);
  }
  for (int32_t id : opening.tokens) Append(id);
  const size_t held = static_cast<size_t>(session_->length());
  return Compute(absl::MakeConstSpan(opening.tokens).subspan(held), 0, context);
}

absl::StatusOr<GenerateResult> Generation::Run(absl::Span<const int32_t> prompt, const CallContext& context) {
  auto start = std::chrono::steady_clock::now();
  LASTRO_RETURN_IF_ERROR(Begin(prompt, context));
  result_.prefill_ms = MillisSince(start);
  start = std::chrono::steady_clock::now();
  for (;;) {
    bool done = false;
    LASTRO_RETURN_IF_ERROR(StepThroughDrafts(context, &done));
    if (done) break;
    Draft();
    LASTRO_RETURN_IF_ERROR(Extend(context));
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
  result.reused_tokens = opening.reused_tokens;
  std::vector<float> prompt_logits;
  LASTRO_RETURN_IF_ERROR(session->Extend(opening.left(), LogitsOf::kLast, context, &prompt_logits));
  LASTRO_ASSIGN_OR_RETURN(result.scores,
                          ScoreAfter(*session, prompt_logits, static_cast<size_t>(vocab), continuations, context));
  return result;
}

}  // namespace lastro::engine
