#include "engine/reader_head.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/config_reader.h"

namespace lastro::engine {
namespace {

constexpr double kMaxWeight = 1e6;
constexpr size_t kMaxCalibrationRows = 1'000;

// "calibration": [[threshold, risk, coverage], ...], each in [0, 1], by falling threshold.
absl::Status ReadCalibration(const JsonValue& section, std::vector<OperatingPoint>* calibration) {
  if (!section.Has("calibration")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(JsonValue table, section.Get("calibration"));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> rows, table.AsArray());
  if (rows.size() > kMaxCalibrationRows) {
    return absl::InvalidArgumentError(
        absl::StrCat(table.path(), " has ", rows.size(), " rows; the limit is ", kMaxCalibrationRows));
  }
  for (const JsonValue& row : rows) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, row.AsArray());
    std::vector<double> numbers;
    for (const JsonValue& item : items) {
      LASTRO_ASSIGN_OR_RETURN(double number, item.AsDouble());
      if (number >= 0 && number <= 1) numbers.push_back(number);
    }
    if (numbers.size() != 3 || items.size() != 3) {
      return absl::InvalidArgumentError(
          absl::StrCat(row.path(), " must be [threshold, risk, coverage], each from 0 to 1"));
    }
    if (!calibration->empty() && numbers[0] >= calibration->back().threshold) {
      return absl::InvalidArgumentError(absl::StrCat(row.path(), " has no lower threshold than the row before"));
    }
    calibration->push_back({numbers[0], numbers[1], numbers[2]});
  }
  return absl::OkStatus();
}

// `name`: {"bias": ..., "relevance": ..., ...}; one that is not named is 0.
absl::Status ReadAnswerWeights(const JsonValue& section, absl::string_view name,
                               std::optional<AnswerWeights>* weights) {
  if (!section.Has(name)) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(JsonValue fields, section.Get(name));
  if (!fields.is_object()) return absl::InvalidArgumentError(absl::StrCat(fields.path(), " must be an object"));
  ConfigReader reader(fields);
  const auto weight = [&](absl::string_view of) { return reader.Double(of, -kMaxWeight, kMaxWeight, 0.0); };
  weights->emplace();
  (*weights)->bias = weight("bias");
  (*weights)->relevance = weight("relevance");
  (*weights)->span_score = weight("span_score");
  (*weights)->sentence_cosine = weight("sentence_cosine");
  (*weights)->passage_cosine = weight("passage_cosine");
  (*weights)->word_overlap = weight("word_overlap");
  (*weights)->search_distance = weight("search_distance");
  return reader.status();
}

// The limits of config.json's lastro_reader, those of the model without it.
absl::Status ReadLimits(const JsonValue& config, int64_t max_tokens, ReaderHead* head) {
  head->window_tokens = max_tokens;
  head->overlap_tokens = std::min<int64_t>(128, max_tokens / 3);
  head->question_tokens = std::min<int64_t>(64, max_tokens / 3);
  head->answer_tokens = 30;
  if (!config.Has("lastro_reader")) return absl::OkStatus();
  LASTRO_ASSIGN_OR_RETURN(JsonValue section, config.Get("lastro_reader"));
  ConfigReader reader(section);
  head->window_tokens = reader.Int("window_tokens", 1, max_tokens, head->window_tokens);
  head->overlap_tokens = reader.Int("overlap_tokens", 0, max_tokens, head->overlap_tokens);
  head->question_tokens = reader.Int("question_tokens", 1, max_tokens, head->question_tokens);
  head->context_tokens = reader.Int("context_tokens", 0, max_tokens, 0);
  head->answer_tokens = reader.Int("answer_tokens", 1, max_tokens, head->answer_tokens);
  head->relevance_weight = reader.Double("relevance_weight", -kMaxWeight, kMaxWeight, head->relevance_weight);
  head->span_weight = reader.Double("span_weight", -kMaxWeight, kMaxWeight, head->span_weight);
  head->bias = reader.Double("bias", -kMaxWeight, kMaxWeight, head->bias);
  LASTRO_RETURN_IF_ERROR(reader.status());
  LASTRO_RETURN_IF_ERROR(ReadAnswerWeights(section, "answer_weights", &head->answer_weights));
  LASTRO_RETURN_IF_ERROR(ReadAnswerWeights(section, "probability_weights", &head->probability_weights));
  return ReadCalibration(section, &head->calibration);
}

}  // namespace

bool HasReaderHead(const ModelFiles& files) { return files.weights().Contains(absl::StrCat(kSpanHead, ".weight")); }

absl::StatusOr<ReaderHead> ReadReaderHead(const ModelFiles& files, const Architecture& a) {
  const std::string& path = files.weights().path();
  if (!HasReaderHead(files)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has no tensor ", kSpanHead, ".weight: this model was not trained to point at answers"));
  }
  LASTRO_ASSIGN_OR_RETURN(ClassifierHead family, FamilyHead(files));
  ReaderHead head;
  head.pair_separators = family.pair_separators;
  LASTRO_RETURN_IF_ERROR(ReadLimits(files.config(), a.max_tokens, &head));
  const int64_t specials = 2 + head.pair_separators;
  if (head.question_tokens + head.context_tokens + specials + head.overlap_tokens >= head.window_tokens) {
    return absl::InvalidArgumentError(absl::StrCat(files.config().path(), ": a window of ", head.window_tokens,
                                                   " tokens has no room for a passage beside ", head.question_tokens,
                                                   " of the question, ", head.context_tokens, " of the context, ",
                                                   specials, " special ones and an overlap of ", head.overlap_tokens));
  }
  if (!files.weights().Contains(absl::StrCat(family.out, ".weight"))) return head;
  LASTRO_ASSIGN_OR_RETURN(head.relevance, ReadClassifierHead(files));
  if (head.relevance->labels != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": a reader's classifier has 1 label, that the passage answers; this one has ", head.relevance->labels));
  }
  return head;
}

absl::StatusOr<ReaderWeights> LoadReaderWeights(const TensorFile& file, const ReaderHead& head, const Architecture& a,
                                                Backend& backend) {
  TensorSource source(file, "");
  ReaderWeights weights;
  LASTRO_ASSIGN_OR_RETURN(weights.spans, LoadHeadLinear(source, kSpanHead, 2, a.hidden_size, true, backend));
  if (head.relevance.has_value()) {
    LASTRO_ASSIGN_OR_RETURN(weights.relevance, LoadClassifierWeights(file, *head.relevance, a, backend));
  }
  return weights;
}

}  // namespace lastro::engine
