// ProbeRunner: puts the probes' documents into an empty collection, asks the probes' questions of it in both modes,
// looks at what became of control tokens, and tells what came about that must not. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "lastro/v1/probes.pb.h"
#include "services/api.h"
#include "services/eval/corpus.h"
#include "services/eval/probe_checks.h"

namespace lastro::services::eval {

struct ProbeSettings {
  std::string collection;    // empty or not there yet
  Scope owner;               // whose collection it is; must see all labels
  std::string other_tenant;  // gets a collection of the same name
  double timeout_s = 120;    // of a call; one that takes longer hangs
};

class ProbeRunner {
 public:
  // The components must outlive the object.
  ProbeRunner(IngestApi* ingest, AskApi* ask, InspectApi* inspect, ProbeSettings settings);

  // Errors: what the documents could not be ingested for, and the end of `context`. What a question brings about,
  // errors included, is in the report, whose models are left unset.
  absl::StatusOr<v1::ProbeReport> Run(const CallContext& context, const EvalProgress& progress);

 private:
  absl::Status Ingest(const CallContext& context);
  absl::Status AskAll(const CallContext& context, const EvalProgress& progress);
  void AskOnce(const v1::AskRequest& request, const CallContext& context);
  // Tokens of texts by the decoder and the embedder.
  void CheckTexts(const CallContext& context);
  // Control tokens of a prompt whose passages are hostile.
  void CheckPrompts(const CallContext& context);

  void Count(ProbeKind kind);
  void Report(const std::vector<ProbeFinding>& findings, const std::string& asked);

  IngestApi& ingest_;
  AskApi& ask_;
  InspectApi& inspect_;
  const ProbeSettings settings_;
  ProbeLibrary library_;
  v1::ProbeReport report_;
};

}  // namespace lastro::services::eval
