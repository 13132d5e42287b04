// The flags that `generate` and `chat` share, and how a generated text is shown.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lastro/v1/generation.pb.h"
#include "services/cli/session.h"

namespace lastro::services {

struct GenerationFlags {
  double temperature = 0;
  int top_k = 0;
  double top_p = 0;
  double min_p = 0;
  double repetition_penalty = 0;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  uint64_t seed = 0;
  int max_new_tokens = 0;
  std::vector<std::string> stop;
  std::optional<int> logprobs;
  std::string schema;  // a file
  bool json_object = false;
  int beams = 0;
  std::optional<double> length_penalty;
  std::optional<int> draft_tokens;
  std::string adapter;
};

// `flags` must outlive `command`'s parsing.
void AddGenerationFlags(CLI::App* command, GenerationFlags* flags);

// Everything of the request but its prompt. Errors of reading the schema's file.
absl::StatusOr<v1::GenerateRequest> RequestOf(const GenerationFlags& flags);

// Generates and shows the text: as it is made, or as one JSON object with --json. Reasoning is shown dimmed, on a
// terminal only.
absl::StatusOr<v1::GenerateResponse> GenerateAndShow(const v1::GenerateRequest& request, Session& session);

}  // namespace lastro::services
