// chunk_reuse_bench MODEL FOLDER [CHUNKS] [CHUNK_TOKENS] [TRIALS] [TYPE]: what reuse of chunks at other positions
// (engine/chunk_reuse.h) costs in accuracy and saves in time. Each trial draws chunks from the Markdown files below
// FOLDER; a first prompt holds them in one order, and a second, with another question, in another. The second is
// computed exactly, by a runtime without reuse, and with what the first left; in turn on one machine.
//
// Prints, over all trials: milliseconds to the second prompt's logits; tokens reused; and of the exact greedy text of
// 32 tokens behind it, given to both: the Kullback-Leibler divergence from the exact to the other distribution of each
// next token, how often the most likely token is the same, and how many of the texts that each writes by itself are the
// same, in all and in how many leading tokens. TYPE: auto (default), fp32 or bf16.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "engine/decoder_model.h"

namespace lastro::engine {
namespace {

constexpr int kTextTokens = 32;
constexpr int kQuestionTokens = 16;

struct Options {
  std::string model, folder;
  int chunks = 6, chunk_tokens = 128, trials = 20;
  ComputeType type = ComputeType::kAuto;
};

// All text below the folder as tokens, in the order of the paths.
std::vector<int32_t> Corpus(const Options& options, const Tokenizer& tokenizer) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(options.folder)) {
    if (entry.path().extension() == ".md") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<int32_t> tokens;
  for (const std::filesystem::path& path : paths) {
    std::stringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    for (int32_t id : tokenizer.Encode(text.str())) tokens.push_back(id);
  }
  return tokens;
}

using Tokens = std::vector<int32_t>;

Tokens PromptOf(const Tokens& heading, const std::vector<Tokens>& chunks, const std::vector<size_t>& order,
                const Tokens& question) {
  Tokens prompt = heading;
  for (size_t which : order) prompt.insert(prompt.end(), chunks[which].begin(), chunks[which].end());
  prompt.insert(prompt.end(), question.begin(), question.end());
  return prompt;
}

// A prompt that was computed, and its last logits.
struct Computed {
  std::unique_ptr<DecoderSession> session;
  std::vector<float> logits;
  int reused = 0;
  double ms = 0;
};

absl::StatusOr<Computed> Compute(const DecoderModel& model, const Tokens& prompt, const KvScope* scope) {
  const auto start = std::chrono::steady_clock::now();
  LASTRO_ASSIGN_OR_RETURN(Opening opening, model.Open(prompt, kTextTokens, {nullptr, scope}, CallContext()));
  Computed result;
  LASTRO_RETURN_IF_ERROR(opening.session->Extend(opening.left(), LogitsOf::kLast, CallContext(), &result.logits));
  result.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  result.reused = opening.reused_tokens;
  result.session = std::move(opening.session);
  return result;
}

int32_t Likeliest(absl::Span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// The greedy text behind the prompt, in a fork.
absl::StatusOr<Tokens> Write(const Computed& computed) {
  const std::unique_ptr<DecoderSession> session = computed.session->Fork();
  Tokens text = {Likeliest(computed.logits)};
  for (std::vector<float> logits; text.size() < kTextTokens; text.push_back(Likeliest(logits))) {
    LASTRO_RETURN_IF_ERROR(session->Extend(absl::MakeConstSpan(text).last(1), LogitsOf::kLast, CallContext(), &logits));
  }
  return text;
}

// The logits behind the prompt and behind each token of `text` but the last, [tokens, vocab].
absl::StatusOr<std::vector<float>> Follow(const Computed& computed, const Tokens& text) {
  const std::unique_ptr<DecoderSession> session = computed.session->Fork();
  std::vector<float> all = computed.logits, logits;
  LASTRO_RETURN_IF_ERROR(
      session->Extend(absl::MakeConstSpan(text).first(text.size() - 1), LogitsOf::kAll, CallContext(), &logits));
  all.insert(all.end(), logits.begin(), logits.end());
  return all;
}

double LogSum(absl::Span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits) sum += std::exp(x - largest);
  return largest + std::log(sum);
}

double Divergence(absl::Span<const float> exact, absl::Span<const float> other) {
  const double exact_sum = LogSum(exact), other_sum = LogSum(other);
  double divergence = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double p = exact[i] - exact_sum, q = other[i] - other_sum;
    divergence += std::exp(p) * (p - q);
  }
  return divergence;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Sums {
  std::vector<double> exact_ms, reuse_ms, divergences;
  int64_t prompt_tokens = 0, reused = 0, same_first = 0, same_texts = 0, leading = 0;
};

absl::Status Compare(const Computed& exact, const Computed& reuse, size_t vocab, Sums* sums) {
  LASTRO_ASSIGN_OR_RETURN(const Tokens text, Write(exact));
  LASTRO_ASSIGN_OR_RETURN(const Tokens other_text, Write(reuse));
  LASTRO_ASSIGN_OR_RETURN(const std::vector<float> want, Follow(exact, text));
  LASTRO_ASSIGN_OR_RETURN(const std::vector<float> got, Follow(reuse, text));
  for (size_t row = 0; row < text.size(); ++row) {
    const auto p = absl::MakeConstSpan(want).subspan(row * vocab, vocab);
    const auto q = absl::MakeConstSpan(got).subspan(row * vocab, vocab);
    sums->divergences.push_back(Divergence(p, q));
    sums->same_first += Likeliest(p) == Likeliest(q);
  }
  sums->same_texts += text == other_text;
  sums->leading += std::mismatch(text.begin(), text.end(), other_text.begin()).first - text.begin();
  sums->reused += reuse.reused;
  sums->exact_ms.push_back(exact.ms);
  sums->reuse_ms.push_back(reuse.ms);
  return absl::OkStatus();
}

absl::Status RunTrial(const Options& options, const DecoderModel& exact, const DecoderModel& reuse,
                      const Tokens& corpus, int trial, Sums* sums) {
  std::mt19937 random(static_cast<uint32_t>(trial) + 1);
  const size_t length = static_cast<size_t>(options.chunk_tokens);
  auto draw = [&](size_t count) {
    const size_t at = random() % (corpus.size() - count);
    return Tokens(corpus.begin() + static_cast<ptrdiff_t>(at), corpus.begin() + static_cast<ptrdiff_t>(at + count));
  };
  std::vector<Tokens> chunks;
  std::vector<size_t> order;
  for (int i = 0; i < options.chunks; ++i) {
    chunks.push_back(draw(length));
    order.push_back(order.size());
  }
  const Tokens heading(corpus.begin(), corpus.begin() + kQuestionTokens);
  const KvScope scope = {"bench", trial};  // nothing of the trial before
  LASTRO_RETURN_IF_ERROR(Compute(reuse, PromptOf(heading, chunks, order, draw(kQuestionTokens)), &scope).status());
  // Another first chunk, so that the beginnings differ.
  std::rotate(order.begin(), order.begin() + 1, order.end());
  if (order.size() > 2) std::shuffle(order.begin() + 1, order.end(), random);
  const Tokens prompt = PromptOf(heading, chunks, order, draw(kQuestionTokens));
  sums->prompt_tokens += static_cast<int64_t>(prompt.size());
  LASTRO_ASSIGN_OR_RETURN(const Computed plain, Compute(exact, prompt, nullptr));
  LASTRO_ASSIGN_OR_RETURN(const Computed reused, Compute(reuse, prompt, &scope));
  return Compare(plain, reused, static_cast<size_t>(exact.info().vocab_size), sums);
}

void Print(const Options& options, const Sums& sums) {
  const double trials = options.trials, rows = trials * kTextTokens;
  const double exact = Median(sums.exact_ms), reuse = Median(sums.reuse_ms);
  double mean = 0;
  for (double divergence : sums.divergences) mean += divergence / rows;
  std::printf("prompt tokens            %.0f\n", static_cast<double>(sums.prompt_tokens) / trials);
  std::printf("reused tokens            %.0f\n", static_cast<double>(sums.reused) / trials);
  std::printf("first logits, ms         %.1f exact, %.1f reused: %.3f (medians)\n", exact, reuse, reuse / exact);
  std::printf("divergence, nats         %.4g mean, %.4g median\n", mean, Median(sums.divergences));
  std::printf("likeliest token the same %.4f\n", static_cast<double>(sums.same_first) / rows);
  std::printf("texts the same           %.2f, leading tokens %.1f of %d\n",
              static_cast<double>(sums.same_texts) / trials, static_cast<double>(sums.leading) / trials, kTextTokens);
}

absl::Status Run(const Options& options) {
  RuntimeOptions plain;
  plain.device = "cpu";
  plain.compute_type = options.type;
  plain.kv_bytes = int64_t{1} << 30;
  RuntimeOptions with_reuse = plain;
  with_reuse.reuse_chunks = true;
  LASTRO_ASSIGN_OR_RETURN(const std::unique_ptr<Runtime> plain_runtime, Runtime::Create(plain));
  LASTRO_ASSIGN_OR_RETURN(const std::unique_ptr<Runtime> reuse_runtime, Runtime::Create(with_reuse));
  LASTRO_ASSIGN_OR_RETURN(const auto exact, DecoderModel::Load(options.model, *plain_runtime));
  LASTRO_ASSIGN_OR_RETURN(const auto reuse, DecoderModel::Load(options.model, *reuse_runtime));
  const Tokens corpus = Corpus(options, exact->tokenizer());
  const int64_t needed = 4 * int64_t{options.chunks} * options.chunk_tokens + 2 * kQuestionTokens;
  if (static_cast<int64_t>(corpus.size()) < needed) {
    return absl::InvalidArgumentError(options.folder + " holds too little Markdown text for these chunks");
  }
  Sums sums;
  for (int trial = 0; trial < options.trials; ++trial) {
    LASTRO_RETURN_IF_ERROR(RunTrial(options, *exact, *reuse, corpus, trial, &sums));
  }
  Print(options, sums);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Options options;
  if (argc < 3 || argc > 7) {
    std::cerr << "usage: chunk_reuse_bench MODEL FOLDER [CHUNKS] [CHUNK_TOKENS] [TRIALS] [auto|fp32|bf16]\n";
    return 2;
  }
  options.model = argv[1];
  options.folder = argv[2];
  if (argc > 3) options.chunks = std::max(2, std::atoi(argv[3]));
  if (argc > 4) options.chunk_tokens = std::max(1, std::atoi(argv[4]));
  if (argc > 5) options.trials = std::max(1, std::atoi(argv[5]));
  const std::string type = argc > 6 ? argv[6] : "auto";
  if (type == "fp32") {
    options.type = ComputeType::kFloat32;
  } else if (type == "bf16") {
    options.type = ComputeType::kBFloat16;
  } else if (type != "auto") {
    std::cerr << "TYPE is " << type << "; it must be auto, fp32 or bf16\n";
    return 2;
  }
  const absl::Status status = Run(options);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace lastro::engine

int main(int argc, char** argv) { return lastro::engine::Main(argc, argv); }
