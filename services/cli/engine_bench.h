// Speed of one model on the engine itself: prompt and generation rates of a decoder, text rate of an embedding model.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "engine/runtime.h"

namespace lastro::services {

struct BenchOptions {
  std::string model_folder;
  int prompt_tokens = 128;
  int gen_tokens = 32;
  int sessions = 1;  // texts generated at the same time
  int texts = 64;
  int repeats = 3;
  bool rates_only = false;  // of a decoder: prompt and generation, not what reuse and drafts save
};

struct BenchResult {
  std::string model;
  std::string device;
  // Name and median over the repeats. Of an embedding model: texts_per_s and tokens_per_s. Of a decoder:
  //   prompt_tokens_per_s, gen_tokens_per_s (of all sessions together, without drafts);
  //   first_token_ms, first_token_again_ms: what reuse of a prompt saves;
  //   repeating_tokens_per_s, repeating_drafted_tokens_per_s, repeating_tokens_per_step: a greedy text of gen_tokens
  //   behind a prompt that repeats itself, generated without drafts and with (engine/prompt_lookup.h), and what a step
  //   with them gave. How much a model repeats is its own affair: one of random weights may do nothing else, and shows
  //   the most that drafts can save, or never do it, and shows what they cost.
  std::vector<std::pair<std::string, double>> rates;
  int64_t peak_rss_bytes = 0;  // of the process (VmHWM) without what reuse and drafts add; 0: unknown
  int repeats = 0;
};

// A folder with modules.json is an embedding model. INVALID_ARGUMENT when the model's context is too short for the
// tokens asked for; else errors of loading and running.
absl::StatusOr<BenchResult> BenchModel(const BenchOptions& options, const engine::RuntimeOptions& runtime_options,
                                       const CallContext& context);

// One JSON object on one line.
std::string BenchJson(const BenchResult& result);

// The middle value, or the mean of the two middle ones. REQUIRES: not empty.
double Median(std::vector<double> values);

}  // namespace lastro::services
