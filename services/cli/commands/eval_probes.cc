#include "services/cli/commands/eval_probes.h"

#include "base/status_macros.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/cli/temporary_collection.h"
#include "services/cli/text_width.h"
#include "services/eval/probe_runner.h"

namespace lastro::services {
namespace {

constexpr char kOtherTenant[] = "lastro-probe-other";

absl::Status DescribeModels(Node& node, const CallContext& context, v1::ProbeReport* report) {
  LASTRO_ASSIGN_OR_RETURN(v1::ListModelsResponse models, node.models().ListModels({}, context));
  for (const v1::Model& model : models.models()) {
    const std::string name = model.name() + " " + model.fingerprint().substr(0, 12);
    if (model.role() == v1::MODEL_ROLE_EMBEDDER) report->set_embedder(name);
    if (model.role() == v1::MODEL_ROLE_DECODER) report->set_decoder(name);
    if (model.role() == v1::MODEL_ROLE_RERANKER) report->set_reranker(name);
  }
  report->set_version(LASTRO_VERSION);
  return absl::OkStatus();
}

absl::StatusOr<v1::ProbeReport> Probe(Session& session) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<TemporaryCollection> collection,
                          TemporaryCollection::Make("probes", session));
  collection->AddTenant(kOtherTenant);
  Node& node = *collection->node();
  const eval::ProbeSettings settings{
      .collection = collection->name(), .owner = session.context().scope(), .other_tenant = kOtherTenant};
  eval::ProbeRunner runner(&node.ingest(), &node.ask(), &node.inspect(), settings);
  const bool shows = session.err_terminal().is_terminal;
  absl::StatusOr<v1::ProbeReport> report = runner.Run(session.context(), [&](size_t done, size_t all) {
    if (shows) session.err() << "\r\x1b[K" << done << "/" << all << " questions" << std::flush;
  });
  if (shows) session.err() << "\r\x1b[K" << std::flush;
  LASTRO_RETURN_IF_ERROR(report.status());
  LASTRO_RETURN_IF_ERROR(DescribeModels(node, session.context(), &*report));
  return report;
}

void PrintProbeReport(const v1::ProbeReport& report, Session& session) {
  Table table({{"Probe"},
               {"An attack would bring about"},
               {"Looked at", Table::Align::kRight},
               {"Successes", Table::Align::kRight}});
  for (const v1::ProbeResult& probe : report.probes()) {
    table.AddRow({probe.name(), probe.attack(), FormatCount(probe.attempts()), FormatCount(probe.successes())});
  }
  table.Print(session.out(), session.out_terminal());
  session.out() << "\n"
                << FormatCount(report.documents()) << " documents, " << FormatCount(report.questions())
                << " questions in both modes, " << FormatCount(report.citations()) << " citations compared; "
                << (report.successes() == 0 ? "no probe succeeded"
                                            : session.style().Bold(FormatCount(report.successes()) + " successes"))
                << "\n";
  for (const v1::ProbeResult& probe : report.probes()) {
    for (const std::string& example : probe.examples()) {
      session.out() << "  " << probe.name() << ": " << Printable(OneLine(example), false) << "\n";
    }
  }
}

}  // namespace

absl::StatusOr<int> RunProbes(Session& session) {
  LASTRO_ASSIGN_OR_RETURN(const v1::ProbeReport report, Probe(session));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(report));
  } else {
    PrintProbeReport(report, session);
  }
  return report.successes() == 0 ? kExitOk : kExitProblems;
}

}  // namespace lastro::services
