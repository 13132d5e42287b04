#include "services/cli/generation_flags.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "services/cli/format.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

constexpr uint64_t kMaxSchemaBytes = 256u << 10;

// What came from a model may command a terminal; elsewhere it stays as it is.
std::string Shown(const std::string& text, Session& session) {
  return session.out_terminal().is_terminal ? Printable(text, /*keep_lines=*/true) : text;
}

absl::StatusOr<v1::GenerateResponse> Stream(const v1::GenerateRequest& request, Node& node, Session& session) {
  bool reasoned = false;
  auto sink = [&](const v1::GeneratedToken& token) {
    if (!token.reasoning().empty() && session.out_terminal().is_terminal) {
      session.out() << session.style().Dim(Shown(token.reasoning(), session));
      reasoned = true;
    }
    if (!token.text().empty()) {
      session.out() << (std::exchange(reasoned, false) ? "\n" : "") << Shown(token.text(), session);
    }
    session.out().flush();
    return session.out().fail() ? absl::CancelledError("the output was closed") : absl::OkStatus();
  };
  LASTRO_ASSIGN_OR_RETURN(v1::GenerateResponse response, node.generation().Generate(request, session.context(), sink));
  session.out() << "\n";
  return response;
}

absl::StatusOr<v1::GenerateResponse> Whole(const v1::GenerateRequest& request, Node& node, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(v1::GenerateResponse response, node.generation().Generate(request, session.context()));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(response));
    return response;
  }
  for (const v1::GenerateResponse::Candidate& candidate : response.candidates()) {
    if (response.candidates_size() > 1) session.out() << FormatNumber(candidate.score(), 3) << "  ";
    session.out() << Shown(candidate.text(), session) << "\n";
  }
  return response;
}

void ShowCallsAndEnd(const v1::GenerateResponse& response, Session& session) {
  for (const v1::ToolCall& call : response.message().tool_calls()) {
    session.out() << Shown(absl::StrCat(call.name(), "(", call.arguments(), ")"), session) << "\n";
  }
  if (response.finish_reason() == v1::MAX_TOKENS) {
    session.err() << "lastro: the text was cut after " << response.usage().completion_tokens()
                  << " tokens; ask for more with --max-new-tokens\n";
  }
  if (!session.options().verbose) return;
  session.err() << response.usage().prompt_tokens() << " tokens of prompt, " << response.usage().completion_tokens()
                << " generated";
  if (const int steps = response.usage().decoding_steps(); steps > 0) session.err() << " in " << steps << " steps";
  for (const v1::StageDuration& stage : response.durations()) {
    session.err() << ", " << stage.stage() << " " << FormatNumber(stage.duration_ms(), 1) << " ms";
  }
  session.err() << "\n";
}

}  // namespace

void AddGenerationFlags(CLI::App* command, GenerationFlags* flags) {
  command->add_option("--max-new-tokens", flags->max_new_tokens, "New tokens at most (default 128)")->type_name("N");
  command->add_option("--temperature", flags->temperature, "0 is greedy (default)")->type_name("X");
  command->add_option("--top-k", flags->top_k, "Draw from the N likeliest tokens")->type_name("N");
  command->add_option("--top-p", flags->top_p, "Draw from the likeliest tokens of this share")->type_name("X");
  command->add_option("--min-p", flags->min_p, "Not below this share of the likeliest token")->type_name("X");
  command->add_option("--repetition-penalty", flags->repetition_penalty, "Of tokens seen, above 1")->type_name("X");
  command->add_option("--presence-penalty", flags->presence_penalty, "Of tokens generated, -2 to 2")->type_name("X");
  command->add_option("--frequency-penalty", flags->frequency_penalty, "Of each time a token came, -2 to 2")
      ->type_name("X");
  command->add_option("--seed", flags->seed, "Of the draws")->type_name("N");
  command->add_option("--stop", flags->stop, "End before this text; may be given again")->type_name("TEXT");
  command->add_option("--draft-tokens", flags->draft_tokens, "Guessed for a step, 0 to 3 (default); 0 is none")
      ->type_name("N");
  command->add_option("--logprobs", flags->logprobs, "With --json: log probabilities, of the N best too")
      ->type_name("N");
  command->add_option("--schema", flags->schema, "Only JSON that the schema in this file accepts")->type_name("FILE");
  command->add_flag("--json-object", flags->json_object, "Only a JSON object");
  command->add_option("--beams", flags->beams, "The likeliest text, by beam search of this width")->type_name("N");
  command->add_option("--adapter", flags->adapter, "A LoRA adapter by its name (--lora)")->type_name("NAME");
  command->add_option("--length-penalty", flags->length_penalty, "With --beams: above 0 favours long texts (default 1)")
      ->type_name("X");
}

absl::StatusOr<v1::GenerateRequest> RequestOf(const GenerationFlags& flags) {
  v1::GenerateRequest request;
  v1::Sampling& sampling = *request.mutable_sampling();
  sampling.set_temperature(flags.temperature);
  sampling.set_top_k(flags.top_k);
  sampling.set_top_p(flags.top_p);
  sampling.set_min_p(flags.min_p);
  sampling.set_repetition_penalty(flags.repetition_penalty);
  sampling.set_presence_penalty(flags.presence_penalty);
  sampling.set_frequency_penalty(flags.frequency_penalty);
  sampling.set_seed(flags.seed);
  request.set_adapter(flags.adapter);
  request.set_max_new_tokens(flags.max_new_tokens);
  *request.mutable_stop() = {flags.stop.begin(), flags.stop.end()};
  if (flags.logprobs.has_value()) request.set_top_logprobs(*flags.logprobs);
  if (flags.draft_tokens.has_value()) request.set_draft_tokens(*flags.draft_tokens);
  if (flags.json_object) request.mutable_response_format()->set_json_object(true);
  if (!flags.schema.empty()) {
    LASTRO_ASSIGN_OR_RETURN(std::string schema, ReadFile(flags.schema, kMaxSchemaBytes));
    LASTRO_RETURN_IF_ERROR(CheckUtf8(schema, flags.schema));
    request.mutable_response_format()->set_json_schema(std::move(schema));
  }
  if (flags.beams > 0) {
    request.mutable_beams()->set_width(flags.beams);
    if (flags.length_penalty.has_value()) request.mutable_beams()->set_length_penalty(*flags.length_penalty);
  }
  return request;
}

absl::StatusOr<v1::GenerateResponse> GenerateAndShow(const v1::GenerateRequest& request, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  const bool whole = session.options().json || request.has_beams();
  LASTRO_ASSIGN_OR_RETURN(v1::GenerateResponse response,
                          whole ? Whole(request, *node, session) : Stream(request, *node, session));
  if (!session.options().json) ShowCallsAndEnd(response, session);
  return response;
}

}  // namespace lastro::services
