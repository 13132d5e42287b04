#include "services/cli/engine_bench.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "engine/decoder_model.h"
#include "engine/embedding_model.h"
#include "engine/generator.h"

namespace lastro::services {
namespace {

// VmHWM of /proc/self/status.
int64_t PeakRssBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    absl::string_view rest = line;
    int64_t kib = 0;
    if (absl::ConsumePrefix(&rest, "VmHWM:") && absl::ConsumeSuffix(&rest, "kB") && absl::SimpleAtoi(rest, &kib)) {
      return kib * 1024;
    }
  }
  return 0;
}

double SecondsSince(absl::Time start) { return std::max(absl::ToDoubleSeconds(absl::Now() - start), 1e-9); }

// Ordinary tokens, spread over the vocabulary; the same for every run.
std::vector<int32_t> PromptTokens(const engine::DecoderModel& model, int count) {
  std::vector<int32_t> tokens;
  const int vocabulary = std::min(model.info().vocab_size, model.tokenizer().vocab_size());
  uint32_t state = 1;
  for (int tries = 0; static_cast<int>(tokens.size()) < count; ++tries) {
    state = state * 1664525u + 1013904223u;
    int32_t id = static_cast<int32_t>((state >> 8) % vocabulary);
    if (!model.tokenizer().IsSpecial(id) || tries > 100 * count) tokens.push_back(id);
  }
  return tokens;
}

struct DecoderRates {
  double prompt = 0;
  double generation = 0;
};

// One text of the measurement.
struct Text {
  std::unique_ptr<engine::DecoderSession> session;
  std::vector<float> logits;

  absl::Status Extend(absl::Span<const int32_t> tokens, const CallContext& context) {
    return session->Extend(tokens, engine::LogitsOf::kLast, context, &logits);
  }
  absl::Status Generate(int tokens, const CallContext& context) {
    for (int i = 0; i < tokens; ++i) {
      int32_t next = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
      LASTRO_RETURN_IF_ERROR(Extend({&next, 1}, context));
    }
    return absl::OkStatus();
  }
};

// Runs body(text) for all texts, each on a thread of its own, and returns the seconds that took.
absl::StatusOr<double> Measure(absl::Span<Text> texts, absl::FunctionRef<absl::Status(Text&)> body) {
  std::vector<absl::Status> statuses(texts.size());
  const absl::Time start = absl::Now();
  std::vector<std::thread> threads;
  for (size_t i = 1; i < texts.size(); ++i) threads.emplace_back([&, i] { statuses[i] = body(texts[i]); });
  statuses[0] = body(texts[0]);
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) LASTRO_RETURN_IF_ERROR(status);
  return SecondsSince(start);
}

absl::StatusOr<DecoderRates> RunDecoder(const engine::DecoderModel& model, absl::Span<const int32_t> prompt,
                                        const BenchOptions& options, const CallContext& context) {
  std::vector<Text> texts(static_cast<size_t>(options.sessions));
  for (Text& text : texts) {
    LASTRO_ASSIGN_OR_RETURN(text.session, model.NewSession(static_cast<int>(prompt.size()) + options.gen_tokens));
  }
  LASTRO_ASSIGN_OR_RETURN(double prompt_s,
                          Measure(absl::MakeSpan(texts), [&](Text& text) { return text.Extend(prompt, context); }));
  LASTRO_ASSIGN_OR_RETURN(double generation_s, Measure(absl::MakeSpan(texts), [&](Text& text) {
                            return text.Generate(options.gen_tokens, context);
                          }));
  DecoderRates rates;
  rates.prompt = options.sessions * static_cast<double>(prompt.size()) / prompt_s;
  rates.generation = static_cast<double>(options.sessions) * options.gen_tokens / generation_s;
  return rates;
}

// Milliseconds until the first token's logits of `prompt`, in a scope of its own.
absl::StatusOr<double> FirstTokenMs(const engine::DecoderModel& model, absl::Span<const int32_t> prompt,
                                    const engine::KvScope& scope, const CallContext& context) {
  const absl::Time start = absl::Now();
  LASTRO_ASSIGN_OR_RETURN(engine::Opening opening, model.Open(prompt, 0, {nullptr, &scope}, context));
  std::vector<float> logits;
  LASTRO_RETURN_IF_ERROR(opening.session->Extend(opening.left(), engine::LogitsOf::kLast, context, &logits));
  return 1e3 * SecondsSince(start);
}

// The same prompt twice, the second time with another ending: what reuse saves.
absl::Status MeasureReuse(const engine::DecoderModel& model, std::vector<int32_t> prompt, int repeats,
                          const CallContext& context, BenchResult* result) {
  constexpr size_t kEnding = 16;  // a question's worth
  std::vector<double> first, again;
  for (int run = 0; run < repeats; ++run) {
    const engine::KvScope scope = {"bench", run};
    LASTRO_ASSIGN_OR_RETURN(double ms, FirstTokenMs(model, prompt, scope, context));
    first.push_back(ms);
    std::reverse(prompt.end() - static_cast<ptrdiff_t>(std::min(kEnding, prompt.size())), prompt.end());
    LASTRO_ASSIGN_OR_RETURN(ms, FirstTokenMs(model, prompt, scope, context));
    again.push_back(ms);
  }
  result->rates.push_back({"first_token_ms", Median(first)});
  result->rates.push_back({"first_token_again_ms", Median(again)});
  return absl::OkStatus();
}

// A greedy text behind `prompt`, as long as asked for.
absl::StatusOr<engine::GenerateResult> GreedyText(const engine::DecoderModel& model, absl::Span<const int32_t> prompt,
                                                  int tokens, int drafts, const CallContext& context) {
  engine::GenerateOptions options;
  options.max_new_tokens = tokens;
  options.ignore_eos = true;
  options.draft_tokens = drafts;
  return engine::Generate(model, prompt, options, context);
}

// Texts behind a prompt that says the same four times, without drafts and with.
absl::Status MeasureDrafts(const engine::DecoderModel& model, const BenchOptions& options, const CallContext& context,
                           BenchResult* result) {
  std::vector<int32_t> prompt = PromptTokens(model, std::max(1, options.prompt_tokens / 4));
  const size_t part = prompt.size();
  while (static_cast<int>(prompt.size()) < options.prompt_tokens) prompt.push_back(prompt[prompt.size() - part]);
  std::vector<double> plain, drafted, per_step;
  for (int run = 0; run < options.repeats; ++run) {
    for (int drafts : {0, engine::PromptLookup::kMaxTokens}) {
      LASTRO_ASSIGN_OR_RETURN(engine::GenerateResult text,
                              GreedyText(model, prompt, options.gen_tokens, drafts, context));
      const double computed = options.gen_tokens - 1;  // the prompt gives the first
      (drafts == 0 ? plain : drafted).push_back(1e3 * computed / std::max(text.decode_ms, 1e-6));
      if (drafts > 0) per_step.push_back(computed / std::max(text.decoding_steps, 1));
    }
  }
  result->rates.push_back({"repeating_tokens_per_s", Median(plain)});
  result->rates.push_back({"repeating_drafted_tokens_per_s", Median(drafted)});
  result->rates.push_back({"repeating_tokens_per_step", Median(per_step)});
  return absl::OkStatus();
}

absl::StatusOr<BenchResult> BenchDecoder(const BenchOptions& options, const engine::Runtime& runtime,
                                         const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(auto model, engine::DecoderModel::Load(options.model_folder, runtime));
  int64_t needed = int64_t{options.prompt_tokens} + options.gen_tokens;
  if (needed > model->info().max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("the prompt of ", options.prompt_tokens, " tokens and ",
                                                   options.gen_tokens, " new ones exceed the context of ",
                                                   model->info().max_tokens, "; ask for fewer"));
  }
  std::vector<int32_t> prompt = PromptTokens(*model, options.prompt_tokens);
  std::vector<double> prompt_rates, generation_rates;
  for (int run = -1; run < options.repeats; ++run) {  // run -1 warms up
    LASTRO_ASSIGN_OR_RETURN(DecoderRates rates, RunDecoder(*model, prompt, options, context));
    if (run < 0) continue;
    prompt_rates.push_back(rates.prompt);
    generation_rates.push_back(rates.generation);
  }
  BenchResult result;
  result.model = model->info().name;
  result.rates = {{"prompt_tokens_per_s", Median(prompt_rates)}, {"gen_tokens_per_s", Median(generation_rates)}};
  result.peak_rss_bytes = PeakRssBytes();
  if (options.rates_only) return result;
  LASTRO_RETURN_IF_ERROR(MeasureReuse(*model, std::move(prompt), options.repeats, context, &result));
  LASTRO_RETURN_IF_ERROR(MeasureDrafts(*model, options, context, &result));
  return result;
}

// Texts of about `tokens` tokens that are not equal.
std::vector<std::string> BenchTexts(int count, int tokens) {
  static constexpr const char* kWords[] = {"ship", "paper", "water", "city", "house", "light", "order", "table"};
  std::vector<std::string> texts(count);
  for (int i = 0; i < count; ++i) {
    for (int j = 0; j < tokens; ++j) absl::StrAppend(&texts[i], j > 0 ? " " : "", kWords[(i * 7 + j * j + j) % 8]);
  }
  return texts;
}

absl::StatusOr<BenchResult> BenchEmbedder(const BenchOptions& options, const engine::Runtime& runtime,
                                          const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(auto model, engine::EmbeddingModel::Load(options.model_folder, runtime));
  std::vector<std::string> texts = BenchTexts(options.texts, std::min(options.prompt_tokens, model->info().max_tokens));
  int64_t tokens = 0;
  for (const std::string& text : texts) {
    int64_t length = static_cast<int64_t>(model->tokenizer().Encode(text, {.add_special = true}).size());
    tokens += std::min<int64_t>(length, model->info().max_tokens);
  }
  std::vector<double> rates;
  for (int run = -1; run < options.repeats; ++run) {  // run -1 warms up
    absl::Time start = absl::Now();
    LASTRO_RETURN_IF_ERROR(model->Embed(texts, /*truncate=*/true, context).status());
    if (run >= 0) rates.push_back(options.texts / SecondsSince(start));
  }
  BenchResult result;
  result.model = model->info().name;
  double texts_per_s = Median(rates);
  result.rates = {{"texts_per_s", texts_per_s}, {"tokens_per_s", texts_per_s * tokens / options.texts}};
  result.peak_rss_bytes = PeakRssBytes();
  return result;
}

}  // namespace

absl::StatusOr<BenchResult> BenchModel(const BenchOptions& options, const engine::RuntimeOptions& runtime_options,
                                       const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(auto runtime, engine::Runtime::Create(runtime_options));
  std::error_code error;
  bool embedder = std::filesystem::exists(options.model_folder + "/modules.json", error);
  LASTRO_ASSIGN_OR_RETURN(BenchResult result, embedder ? BenchEmbedder(options, *runtime, context)
                                                       : BenchDecoder(options, *runtime, context));
  result.device = runtime->Description();
  result.repeats = options.repeats;
  return result;
}

std::string BenchJson(const BenchResult& result) {
  auto quoted = [](absl::string_view text) {
    std::string out = "\"";
    for (char c : text) {
      if (c == '"' || c == '\\') out.push_back('\\');
      if (static_cast<unsigned char>(c) < 0x20) {
        absl::StrAppendFormat(&out, "\\u%04x", c);
      } else {
        out.push_back(c);
      }
    }
    return out + "\"";
  };
  std::string json = absl::StrCat("{\"model\": ", quoted(result.model), ", \"device\": ", quoted(result.device));
  for (const auto& [name, value] : result.rates) absl::StrAppendFormat(&json, ", \"%s\": %.3f", name, value);
  return absl::StrCat(json, ", \"peak_rss_bytes\": ", result.peak_rss_bytes, ", \"repeats\": ", result.repeats, "}");
}

double Median(std::vector<double> values) {
  LASTRO_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace lastro::services
