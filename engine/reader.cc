#include "engine/reader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/model_files.h"
#include "engine/packed_encoder.h"
#include "engine/reader_head.h"
#include "engine/span_search.h"

namespace lastro::engine {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest();

// A part of a passage, read beside the whole question.
struct Window {
  size_t pair = 0;
  size_t begin = 0, end = 0;  // tokens of the passage
  size_t first_row = 0;       // of them in the encoder's input
};

// What the heads give for a window.
struct WindowLogits {
  float relevance = 0;
  std::vector<float> spans;  // [rows, 2]: start and end
};

struct PairTokens {
  std::vector<Token> passage;
  std::vector<int> parts;        // that the tokens lie in
  std::vector<TokenSpan> found;  // in tokens of the passage
  Reading reading{kLowest, kLowest, 0, {}};
  bool finite = true;  // all scores of its windows
};

// Whether a bar between cells of a table's row stands there.
bool IsBorder(absl::string_view text, size_t at) { return at > 0 && text.substr(at - 1, 3) == " | "; }

// Lines and cells, counted, and the borders between cells: no answer goes on from one into the next.
std::vector<int> PartsOf(absl::string_view passage, absl::Span<const Token> tokens) {
  std::vector<int> parts;
  int part = 0;
  size_t at = 0;
  for (const Token& token : tokens) {
    for (; at < token.begin; ++at) part += passage[at] == '\n' ? 1 : IsBorder(passage, at) ? 2 : 0;
    parts.push_back(IsBorder(passage, at) ? part + 1 : part);
  }
  return parts;
}

class LoadedReader : public Reader {
 public:
  static absl::StatusOr<std::unique_ptr<Reader>> Create(const std::string& path, const Runtime& runtime);

  const ReaderInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  absl::StatusOr<std::vector<Reading>> Read(absl::Span<const ReadPair> pairs, int max_spans,
                                            const CallContext& context) const override;

 private:
  absl::Status LoadParts(const std::string& path);
  void AddContext(absl::string_view context, PairFrame* frame) const;
  absl::Status AddWindows(size_t index, const ReadPair& pair, PairTokens* tokens, std::vector<Window>* windows,
                          std::vector<EncodedText>* texts) const;
  absl::Status ApplyHeads(const EncodedBatch& batch, std::vector<WindowLogits>* logits) const;
  void Collect(const Window& window, const WindowLogits& logits, PairTokens* tokens) const;
  absl::Status Finish(int max_spans, PairTokens* tokens) const;

  std::unique_ptr<ModelFiles> files_;  // the weights may view its mapped files
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<PackedEncoder> encoder_;
  Backend* backend_ = nullptr;
  ReaderHead head_;
  ReaderWeights weights_;
  ReaderInfo info_;
  mutable std::unique_ptr<Buffer> scratch_;  // of ApplyHeads, inside steps of the backend's queue only
};

absl::StatusOr<std::unique_ptr<Reader>> LoadedReader::Create(const std::string& path, const Runtime& runtime) {
  auto model = std::make_unique<LoadedReader>();
  model->backend_ = &runtime.backend();
  LASTRO_RETURN_IF_ERROR(model->LoadParts(path));
  return model;
}

absl::Status LoadedReader::LoadParts(const std::string& path) {
  LASTRO_ASSIGN_OR_RETURN(files_, OpenModel(path));
  LASTRO_ASSIGN_OR_RETURN(Architecture a, ReadArchitecture(*files_));
  LASTRO_ASSIGN_OR_RETURN(head_, ReadReaderHead(*files_, a));
  LASTRO_ASSIGN_OR_RETURN(tokenizer_, LoadEncoderTokenizer(*files_, a));
  IgnoreHeads(head_.relevance.value_or(ClassifierHead()), &a);
  LASTRO_ASSIGN_OR_RETURN(TransformerWeights weights, LoadTransformerWeights(files_->weights(), a, *backend_));
  LASTRO_ASSIGN_OR_RETURN(weights_, LoadReaderWeights(files_->weights(), head_, a, *backend_));
  info_.name = files_->name();
  info_.fingerprint = files_->Fingerprint();
  info_.architecture = a.name;
  info_.tells_relevance = head_.relevance.has_value();
  info_.window_tokens = static_cast<int>(head_.window_tokens);
  info_.question_tokens = static_cast<int>(head_.question_tokens);
  info_.parameters = weights.parameters;
  info_.context_tokens = static_cast<int>(head_.context_tokens);
  info_.calibration = head_.calibration;
  info_.answer_weights = head_.answer_weights;
  info_.probability_weights = head_.probability_weights;
  transformer_ = std::make_unique<Transformer>(std::move(a), std::move(weights), *backend_);
  encoder_ = std::make_unique<PackedEncoder>(*transformer_, *backend_);
  return absl::OkStatus();
}

void LoadedReader::AddContext(absl::string_view context, PairFrame* frame) const {
  if (context.empty() || head_.context_tokens == 0) return;
  const std::vector<int32_t> ids = tokenizer_->Encode(absl::StrCat(context, ":"));
  const size_t kept = std::min(ids.size(), static_cast<size_t>(head_.context_tokens));
  frame->before.insert(frame->before.end(), ids.end() - static_cast<int64_t>(kept), ids.end());
}

absl::Status LoadedReader::AddWindows(size_t index, const ReadPair& pair, PairTokens* tokens,
                                      std::vector<Window>* windows, std::vector<EncodedText>* texts) const {
  PairFrame frame =
      FramePair(*tokenizer_, pair.question, head_.pair_separators, static_cast<size_t>(head_.question_tokens));
  AddContext(pair.context, &frame);
  tokens->passage = tokenizer_->EncodeWithOffsets(pair.passage);
  tokens->parts = PartsOf(pair.passage, tokens->passage);
  const size_t around = frame.before.size() + frame.after.size(), window = static_cast<size_t>(head_.window_tokens);
  if (frame.first_tokens == 0) return absl::InvalidArgumentError(absl::StrCat("question ", index, " has no tokens"));
  if (tokens->passage.empty()) return absl::InvalidArgumentError(absl::StrCat("passage ", index, " has no tokens"));
  const size_t overlap = static_cast<size_t>(head_.overlap_tokens);
  if (around + overlap >= window) {
    return absl::InvalidArgumentError(absl::StrCat("question ", index, " leaves no room for its passage"));
  }
  const size_t room = window - around, count = tokens->passage.size();
  for (size_t begin = 0;; begin += room - overlap) {
    const size_t end = std::min(count, begin + room);
    EncodedText text{texts->size(), frame.before, static_cast<int64_t>(frame.before.size())};
    for (size_t i = begin; i < end; ++i) text.ids.push_back(tokens->passage[i].id);
    text.ids.insert(text.ids.end(), frame.after.begin(), frame.after.end());
    texts->push_back(std::move(text));
    windows->push_back({index, begin, end, frame.before.size()});
    if (end == count) return absl::OkStatus();
  }
}

absl::Status LoadedReader::ApplyHeads(const EncodedBatch& batch, std::vector<WindowLogits>* logits) const {
  const int64_t rows = batch.hidden.rows, texts = batch.pooled.rows;
  const int64_t of_relevance = head_.relevance.has_value() ? texts * (batch.pooled.cols + 1) : 0;
  const int64_t bytes = (of_relevance + 2 * rows) * static_cast<int64_t>(sizeof(float));
  if (scratch_ == nullptr || scratch_->bytes() < bytes) {
    LASTRO_ASSIGN_OR_RETURN(scratch_, backend_->Allocate(bytes));
  }
  MatrixView relevance;  // first, where the memory is aligned
  if (head_.relevance.has_value()) {
    relevance = ApplyClassifier(*head_.relevance, *weights_.relevance, transformer_->architecture().norm_eps,
                                batch.pooled, scratch_->floats(), *backend_);
  }
  const MatrixView spans = {scratch_->floats() + of_relevance, rows, 2, 2};
  backend_->Linear(*weights_.spans, batch.hidden, spans);
  for (int64_t i = 0; i < texts; ++i) {
    const SequenceSpan& sequence = batch.sequences[static_cast<size_t>(i)];
    WindowLogits& to = (*logits)[batch.texts[static_cast<size_t>(i)].index];
    to.spans.resize(static_cast<size_t>(2 * sequence.rows));
    backend_->CopyToHost(spans.Rows(sequence.first_row, sequence.rows).data,
                         2 * sequence.rows * static_cast<int64_t>(sizeof(float)), to.spans.data());
    if (head_.relevance.has_value()) {
      backend_->CopyToHost(relevance.Rows(i, 1).data, static_cast<int64_t>(sizeof(float)), &to.relevance);
    }
  }
  return backend_->Synchronize();
}

// Adds a window's candidates; the first token, [CLS], stands for "no answer".
void LoadedReader::Collect(const Window& window, const WindowLogits& logits, PairTokens* tokens) const {
  std::vector<float> start, end;
  for (size_t row = window.first_row; row < window.first_row + window.end - window.begin; ++row) {
    start.push_back(logits.spans[2 * row]);
    end.push_back(logits.spans[2 * row + 1]);
  }
  const float none = logits.spans[0] + logits.spans[1];
  const auto parts = absl::MakeConstSpan(tokens->parts).subspan(window.begin, window.end - window.begin);
  for (TokenSpan span : AllSpans(start, end, parts, head_.answer_tokens)) {
    span.first += static_cast<int64_t>(window.begin);
    span.last += static_cast<int64_t>(window.begin);
    span.score -= none;
    tokens->finite = tokens->finite && std::isfinite(span.score);
    tokens->found.push_back(span);
  }
  tokens->finite = tokens->finite && std::isfinite(logits.relevance);
  tokens->reading.relevance = std::max(tokens->reading.relevance, logits.relevance);
}

absl::Status LoadedReader::Finish(int max_spans, PairTokens* tokens) const {
  Reading& reading = tokens->reading;
  if (!tokens->finite) {
    return absl::InternalError(
        absl::StrCat(info_.name, " gave a score that is not finite; its weights or the compute type are at fault"));
  }
  for (const TokenSpan& span : BestApart(tokens->found, max_spans)) {
    const Token& first = tokens->passage[static_cast<size_t>(span.first)];
    const Token& last = tokens->passage[static_cast<size_t>(span.last)];
    reading.spans.push_back({first.begin, last.end, span.score, 0});
  }
  reading.answerability = reading.spans.front().score;
  if (!head_.relevance.has_value()) reading.relevance = reading.answerability;
  for (ReadSpan& span : reading.spans) {
    const double logit = head_.relevance_weight * reading.relevance + head_.span_weight * span.score + head_.bias;
    span.probability = 1 / (1 + std::exp(-logit));
  }
  reading.probability = reading.spans.front().probability;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Reading>> LoadedReader::Read(absl::Span<const ReadPair> pairs, int max_spans,
                                                        const CallContext& context) const {
  LASTRO_CHECK(max_spans >= 1);
  std::vector<PairTokens> tokens(pairs.size());
  std::vector<Window> windows;
  std::vector<EncodedText> texts;  // of the windows, in their order
  for (size_t i = 0; i < pairs.size(); ++i) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    LASTRO_RETURN_IF_ERROR(AddWindows(i, pairs[i], &tokens[i], &windows, &texts));
  }
  std::vector<WindowLogits> logits(windows.size());
  const Pooling pooling = head_.relevance.has_value() ? head_.relevance->pooling : Pooling::kCls;
  LASTRO_RETURN_IF_ERROR(encoder_->Run(std::move(texts), pooling, false, context,
                                       [&](const EncodedBatch& batch) { return ApplyHeads(batch, &logits); }));
  std::vector<Reading> readings;
  readings.reserve(pairs.size());
  for (size_t i = 0, window = 0; i < pairs.size(); ++i) {  // a pair's spans are many: held for one at a time
    LASTRO_RETURN_IF_ERROR(context.Check());
    for (; window < windows.size() && windows[window].pair == i; ++window) {
      Collect(windows[window], logits[window], &tokens[i]);
    }
    LASTRO_RETURN_IF_ERROR(Finish(max_spans, &tokens[i]));
    readings.push_back(std::move(tokens[i].reading));
    tokens[i] = PairTokens();
  }
  return readings;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Reader>> Reader::Load(const std::string& folder, const Runtime& runtime) {
  return LoadedReader::Create(folder, runtime);
}

}  // namespace lastro::engine
