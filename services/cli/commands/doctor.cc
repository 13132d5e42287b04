#include "retrieval/doctor.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "google/protobuf/struct.pb.h"
#include "services/cli/cli.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/json_output.h"
#include "services/cli/status_line.h"
#include "services/cli/table.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

struct CheckOptions {
  bool repair = false;
  bool drop_damaged = false;
};

// The problems of a check after the repair.
int64_t LeftOf(const retrieval::DoctorReport& report, const std::string& check) {
  for (const retrieval::Finding& finding : report.left) {
    if (finding.check == check) return finding.problems;
  }
  return 0;  // it was not made again, because it had none
}

std::string StateOf(const retrieval::DoctorReport& report, const retrieval::Finding& finding) {
  if (LeftOf(report, finding.check) > 0) return "damaged";
  return finding.problems > 0 ? "mended" : "ok";
}

absl::StatusOr<retrieval::DoctorReport> Look(const CheckOptions& options, Session& session) {
  retrieval::DoctorOptions doctor;
  LASTRO_ASSIGN_OR_RETURN(doctor.folder, LocalDataFolder(session.options()));
  doctor.repair = options.repair;
  doctor.drop_damaged = options.drop_damaged;
  StatusLine line(session.err_terminal(), session.err());
  doctor.progress = [&line](absl::string_view check, int64_t done, int64_t total) {
    std::string count = total > 0 ? absl::StrCat("  ", FormatCount(done), "/", FormatCount(total)) : "";
    line.Show(absl::StrCat("checking ", check, count));
  };
  return retrieval::RunDoctor(doctor, session.context());
}

void PrintFindings(const retrieval::DoctorReport& report, Session& session) {
  Table table({{"check"}, {"looked at", Table::Align::kRight}, {"problems", Table::Align::kRight}, {"state"}});
  for (const retrieval::Finding& finding : report.findings) {
    table.AddRow(
        {finding.check, FormatCount(finding.looked_at), FormatCount(finding.problems), StateOf(report, finding)});
  }
  table.Print(session.out(), session.out_terminal());
}

void PrintProblems(const retrieval::DoctorReport& report, Session& session) {
  for (const retrieval::Finding& finding : report.findings) {
    if (finding.problems == 0) continue;
    session.out() << "\n" << session.style().Bold(finding.check) << " (" << StateOf(report, finding) << ")\n";
    for (const std::string& detail : finding.details) session.out() << "  " << OneLine(detail) << "\n";
    int64_t more = finding.problems - static_cast<int64_t>(finding.details.size());
    if (more > 0) session.out() << "  and " << FormatCount(more) << " more\n";
    if (LeftOf(report, finding.check) > 0) session.out() << "  what to do: " << AdviceFor(finding) << "\n";
  }
  if (report.dropped) {
    session.out() << "\n" << report.documents.size() << " damaged documents were removed; ingest their files again.\n";
  }
}

Struct FindingMessage(const retrieval::DoctorReport& report, const retrieval::Finding& finding) {
  Struct message;
  auto& fields = *message.mutable_fields();
  fields["check"] = JsonText(finding.check);
  fields["looked_at"] = JsonNumber(finding.looked_at);
  fields["problems"] = JsonNumber(finding.problems);
  fields["state"] = JsonText(StateOf(report, finding));
  auto* details = fields["details"].mutable_list_value();
  for (const std::string& detail : finding.details) *details->add_values() = JsonText(OneLine(detail));
  if (LeftOf(report, finding.check) > 0) fields["advice"] = JsonText(AdviceFor(finding));
  return message;
}

Struct ReportMessage(const retrieval::DoctorReport& report) {
  Struct message;
  auto& fields = *message.mutable_fields();
  fields["healthy"].set_bool_value(report.healthy());
  auto* findings = fields["findings"].mutable_list_value();
  for (const retrieval::Finding& finding : report.findings) {
    *findings->add_values()->mutable_struct_value() = FindingMessage(report, finding);
  }
  auto* documents = fields["damaged_documents"].mutable_list_value();
  for (const retrieval::DamagedDocument& document : report.documents) {
    auto& entry = *documents->add_values()->mutable_struct_value()->mutable_fields();
    entry["collection"] = JsonText(OneLine(document.collection));
    entry["uri"] = JsonText(OneLine(document.uri));
    entry["reason"] = JsonText(OneLine(document.reason));
    entry["removed"].set_bool_value(report.dropped);
  }
  return message;
}

absl::StatusOr<int> RunDoctorCommand(const CheckOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(retrieval::DoctorReport report, Look(options, session));
  if (session.options().json) {
    LASTRO_RETURN_IF_ERROR(session.PrintJson(ReportMessage(report)));
  } else {
    PrintFindings(report, session);
    PrintProblems(report, session);
  }
  return report.healthy() ? kExitOk : kExitProblems;
}

}  // namespace

void AddDoctorCommand(CommandSet* set) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command =
      set->Add("doctor", "Checks every file of the store, and mends what can be made anew",
               {"lastro doctor", "lastro doctor --repair", "lastro doctor --repair --drop-damaged --json",
                "Exit codes: 0 all is well, or was mended; 3 something is damaged; 1 it could not look"});
  CLI::Option* repair =
      command->add_flag("--repair", options->repair,
                        "Make anew what is derived: full-text and vector indexes, counts, pages without data");
  command
      ->add_flag("--drop-damaged", options->drop_damaged,
                 "Also remove damaged documents, for the next ingestion to read again, and go on without lost commits")
      ->needs(repair);
  set->OnRun(command, [options](Session& session) { return RunDoctorCommand(*options, session); });
}

}  // namespace lastro::services
