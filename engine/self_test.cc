#include "engine/self_test.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "engine/json_text.h"
#include "engine/sampler.h"

namespace lastro::engine {
namespace {

constexpr uint64_t kMaxFileBytes = 16u << 20;
constexpr size_t kMaxCases = 64;
constexpr double kDefaultMinCosine = 0.999;
constexpr double kDefaultMaxLogprobError = 0.25;
constexpr double kDefaultMaxLogitError = 0.25;
constexpr int kStoredLogprobs = 5;

absl::Status Mismatch(const JsonValue& test, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(test.path(), " ", what,
                   "; the model does not give the results stored beside it: is a file damaged or of another model?"));
}

struct SelfTest {
  JsonDocument document;
  std::vector<JsonValue> cases;
  SelfTestReport report;
};

// Opens the file when it is there; `limit_key` names the member that holds what the worst case may be.
absl::StatusOr<std::optional<SelfTest>> Open(const std::string& path, absl::string_view kind,
                                             absl::string_view limit_key, double limit) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::ParseFile(path, kMaxFileBytes));
  SelfTest test{std::move(document), {}, {}};
  const JsonValue root = test.document.root();
  LASTRO_ASSIGN_OR_RETURN(std::string found, root.GetString("kind", ""));
  if (found != kind) {
    return absl::InvalidArgumentError(
        absl::StrCat(root.path(), " kind is \"", found, "\"; this model needs \"", kind, "\""));
  }
  LASTRO_ASSIGN_OR_RETURN(test.report.source, root.GetString("source", ""));
  LASTRO_ASSIGN_OR_RETURN(test.report.limit, root.GetDouble(limit_key, limit));
  LASTRO_ASSIGN_OR_RETURN(JsonValue cases, root.Get("cases"));
  LASTRO_ASSIGN_OR_RETURN(test.cases, cases.AsArray());
  if (test.cases.empty() || test.cases.size() > kMaxCases) {
    return absl::InvalidArgumentError(
        absl::StrCat(cases.path(), " has ", test.cases.size(), " entries; 1 to ", kMaxCases, " are allowed"));
  }
  test.report.cases = static_cast<int>(test.cases.size());
  return test;
}

absl::StatusOr<std::string> TextOf(const JsonValue& test_case, absl::string_view key = "text") {
  LASTRO_ASSIGN_OR_RETURN(std::string text, test_case.GetString(key, ""));
  if (text.empty()) return absl::InvalidArgumentError(absl::StrCat(test_case.path(), " ", key, " is missing"));
  return text;
}

absl::StatusOr<double> Number(const JsonValue& object, absl::string_view key) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue value, object.Get(key));
  return value.AsDouble();
}

absl::StatusOr<std::vector<double>> Numbers(const JsonValue& object, absl::string_view key) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue array, object.Get(key));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> items, array.AsArray());
  std::vector<double> numbers;
  for (const JsonValue& item : items) {
    LASTRO_ASSIGN_OR_RETURN(double number, item.AsDouble());
    numbers.push_back(number);
  }
  return numbers;
}

double Cosine(absl::Span<const double> a, absl::Span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return ab / std::max(1e-30, std::sqrt(aa * bb));
}

// The cosine of what `model` gives and what the case holds.
absl::StatusOr<double> CosineOf(const EmbeddingModel& model, const JsonValue& test_case, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(std::string text, TextOf(test_case));
  LASTRO_ASSIGN_OR_RETURN(std::vector<double> expected, Numbers(test_case, "vector"));
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> found, model.Embed({text}, false, context));
  if (expected.size() != found.size()) {
    return Mismatch(test_case, absl::StrCat("expected ", expected.size(), " dimensions, found ", found.size()));
  }
  return Cosine(expected, found);
}

absl::Status CheckIds(const DecoderModel& model, const JsonValue& test_case, std::vector<int32_t>* ids) {
  LASTRO_ASSIGN_OR_RETURN(std::string text, TextOf(test_case));
  LASTRO_ASSIGN_OR_RETURN(std::vector<double> expected, Numbers(test_case, "ids"));
  *ids = model.tokenizer().Encode(text);
  if (expected.empty() || !std::equal(expected.begin(), expected.end(), ids->begin(), ids->end())) {
    return Mismatch(test_case, absl::StrCat("expected the token ids ", absl::StrJoin(expected, " "), ", found ",
                                            absl::StrJoin(*ids, " ")));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> LastLogits(const DecoderModel& model, absl::Span<const int32_t> ids,
                                              const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(auto session, model.NewSession(static_cast<int>(ids.size())));
  std::vector<float> logits;
  LASTRO_RETURN_IF_ERROR(session->Extend(ids, LogitsOf::kLast, context, &logits));
  return logits;
}

// The largest difference between the case's log probabilities and the model's.
absl::StatusOr<double> LogprobErrorOf(const DecoderModel& model, const JsonValue& test_case,
                                      const CallContext& context) {
  std::vector<int32_t> ids;
  LASTRO_RETURN_IF_ERROR(CheckIds(model, test_case, &ids));
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> logits, LastLogits(model, ids, context));
  LASTRO_ASSIGN_OR_RETURN(JsonValue stored, test_case.Get("logprobs"));
  LASTRO_ASSIGN_OR_RETURN(std::vector<JsonValue> expected, stored.AsArray());
  if (expected.empty()) return absl::InvalidArgumentError(absl::StrCat(stored.path(), " is empty"));
  double worst = 0;
  for (const JsonValue& token : expected) {
    LASTRO_ASSIGN_OR_RETURN(int64_t id, token.GetInt("id", -1));
    LASTRO_ASSIGN_OR_RETURN(JsonValue logprob, token.Get("logprob"));
    LASTRO_ASSIGN_OR_RETURN(double value, logprob.AsDouble());
    if (id < 0 || id >= static_cast<int64_t>(logits.size())) {
      return absl::InvalidArgumentError(absl::StrCat(token.path(), " id = ", id, " is no id of this model"));
    }
    const double error = std::abs(LogprobOf(logits, static_cast<int32_t>(id)) - value);
    if (!(error <= worst)) worst = error;  // NaN stays
  }
  return worst;
}

// The larger of the differences of relevance and score; the answer must be the stored one.
absl::StatusOr<double> LogitErrorOf(const Reader& model, const JsonValue& test_case, const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(std::string question, TextOf(test_case, "question"));
  LASTRO_ASSIGN_OR_RETURN(std::string passage, TextOf(test_case, "passage"));
  LASTRO_ASSIGN_OR_RETURN(double relevance, Number(test_case, "relevance"));
  LASTRO_ASSIGN_OR_RETURN(double score, Number(test_case, "score"));
  LASTRO_ASSIGN_OR_RETURN(int64_t begin, test_case.GetInt("begin", -1));
  LASTRO_ASSIGN_OR_RETURN(int64_t end, test_case.GetInt("end", -1));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Reading> readings, model.Read({{question, passage}}, 1, context));
  const ReadSpan& best = readings.front().spans.front();
  if (best.begin != begin || best.end != end) {
    return Mismatch(test_case, absl::StrCat("expected the answer at bytes ", begin, " to ", end, ", found it at ",
                                            best.begin, " to ", best.end));
  }
  return std::max(std::abs(readings.front().relevance - relevance), std::abs(best.score - score));
}

// Runs every case through `measure`; `worse(a, b)`: a is worse than b.
absl::StatusOr<std::optional<SelfTestReport>> Run(
    std::optional<SelfTest> test, absl::string_view what,
    const std::function<absl::StatusOr<double>(const JsonValue&)>& measure, bool low_is_bad) {
  if (!test.has_value()) return std::nullopt;
  SelfTestReport& report = test->report;
  report.worst = low_is_bad ? 1.0 : 0.0;
  for (const JsonValue& test_case : test->cases) {
    LASTRO_ASSIGN_OR_RETURN(double value, measure(test_case));
    const bool within = low_is_bad ? value >= report.limit : value <= report.limit;
    if (!within) {
      return Mismatch(test_case, absl::StrCat(what, " is ", value, ", the limit ", report.limit));
    }
    report.worst = low_is_bad ? std::min(report.worst, value) : std::max(report.worst, value);
  }
  return report;
}

// A self-test file of `cases`, each a whole JSON object.
std::string FileText(absl::string_view kind, absl::string_view source, const std::vector<std::string>& cases) {
  JsonObjectText file;
  file.Add("kind", kind);
  file.Add("source", source);
  file.AddRaw("cases", absl::StrCat("[\n  ", absl::StrJoin(cases, ",\n  "), "\n]"));
  return file.text() + "\n";
}

std::string StoredLogprobs(absl::Span<const float> logits) {
  std::vector<std::string> tokens;
  for (const TokenLogprob& token : TopLogprobs(logits, kStoredLogprobs)) {
    JsonObjectText object;
    object.Add("id", static_cast<int64_t>(token.id));
    object.Add("logprob", static_cast<double>(token.logprob));
    tokens.push_back(object.text());
  }
  return absl::StrCat("[", absl::StrJoin(tokens, ", "), "]");
}

}  // namespace

std::string SelfTestPath(const std::string& model_path) {
  std::error_code error;
  if (std::filesystem::is_directory(model_path, error)) {
    return (std::filesystem::path(model_path) / "lastro_selftest.json").string();
  }
  return model_path + ".selftest.json";
}

absl::StatusOr<std::optional<SelfTestReport>> RunSelfTest(const EmbeddingModel& model, const std::string& path,
                                                          const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(std::optional<SelfTest> test, Open(path, "embedding", "min_cosine", kDefaultMinCosine));
  auto measure = [&](const JsonValue& test_case) { return CosineOf(model, test_case, context); };
  return Run(std::move(test), "the cosine to the stored vector", measure, true);
}

absl::StatusOr<std::optional<SelfTestReport>> RunSelfTest(const DecoderModel& model, const std::string& path,
                                                          const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(std::optional<SelfTest> test,
                          Open(path, "decoder", "max_logprob_error", kDefaultMaxLogprobError));
  auto measure = [&](const JsonValue& test_case) { return LogprobErrorOf(model, test_case, context); };
  return Run(std::move(test), "the largest difference of a log probability", measure, false);
}

absl::StatusOr<std::optional<SelfTestReport>> RunSelfTest(const Reader& model, const std::string& path,
                                                          const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(std::optional<SelfTest> test, Open(path, "reader", "max_logit_error", kDefaultMaxLogitError));
  auto measure = [&](const JsonValue& test_case) { return LogitErrorOf(model, test_case, context); };
  return Run(std::move(test), "the largest difference of a logit", measure, false);
}

absl::StatusOr<std::string> MakeSelfTest(const EmbeddingModel& model, absl::Span<const std::string> texts,
                                         absl::string_view source, const CallContext& context) {
  std::vector<std::string> cases;
  for (const std::string& text : texts) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<float> vector, model.Embed({text}, false, context));
    JsonObjectText test_case;
    test_case.Add("text", text);
    test_case.Add("vector", std::vector<double>(vector.begin(), vector.end()));
    cases.push_back(test_case.text());
  }
  return FileText("embedding", source, cases);
}

absl::StatusOr<std::string> MakeSelfTest(const DecoderModel& model, absl::Span<const std::string> texts,
                                         absl::string_view source, const CallContext& context) {
  std::vector<std::string> cases;
  for (const std::string& text : texts) {
    const std::vector<int32_t> ids = model.tokenizer().Encode(text);
    LASTRO_ASSIGN_OR_RETURN(std::vector<float> logits, LastLogits(model, ids, context));
    JsonObjectText test_case;
    test_case.Add("text", text);
    test_case.Add("ids", std::vector<double>(ids.begin(), ids.end()));
    test_case.AddRaw("logprobs", StoredLogprobs(logits));
    cases.push_back(test_case.text());
  }
  return FileText("decoder", source, cases);
}

absl::StatusOr<std::string> MakeSelfTest(const Reader& model, absl::Span<const std::string> texts,
                                         absl::string_view source, const CallContext& context) {
  const std::string passage = absl::StrJoin(texts, "\n");
  std::vector<std::string> cases;
  for (const std::string& text : texts) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<Reading> readings, model.Read({{text, passage}}, 1, context));
    const ReadSpan& best = readings.front().spans.front();
    JsonObjectText test_case;
    test_case.Add("question", text);
    test_case.Add("passage", passage);
    test_case.Add("relevance", static_cast<double>(readings.front().relevance));
    test_case.Add("score", static_cast<double>(best.score));
    test_case.Add("begin", static_cast<int64_t>(best.begin));
    test_case.Add("end", static_cast<int64_t>(best.end));
    cases.push_back(test_case.text());
  }
  return FileText("reader", source, cases);
}

}  // namespace lastro::engine
