#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "google/protobuf/struct.pb.h"
#include "retrieval/backup.h"
#include "retrieval/sqlite_store.h"
#include "services/cli/cli.h"
#include "services/cli/commands/commands.h"
#include "services/cli/format.h"
#include "services/cli/json_output.h"
#include "services/cli/table.h"

namespace lastro::services {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;
using retrieval::BackupManifest;
using retrieval::PurgeReceipt;

struct RestoreOptions {
  std::string backup;
  bool replace = false;
};

std::string TimeText(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

// --- Backups

absl::Status PrintManifest(const std::string& verb, const std::string& folder, const BackupManifest& manifest,
                           Session& session) {
  if (session.options().json) {
    Struct message;
    auto& fields = *message.mutable_fields();
    fields["folder"] = JsonText(folder);
    fields["commit"] = JsonNumber(manifest.commit);
    fields["created"] = JsonText(TimeText(manifest.created_at));
    fields["documents"] = JsonNumber(manifest.documents);
    fields["chunks"] = JsonNumber(manifest.chunks);
    fields["bytes"] = JsonNumber(manifest.bytes);
    fields["sha256"] = JsonText(manifest.sha256);
    return session.PrintJson(message);
  }
  session.out() << verb << " " << FormatCount(manifest.documents) << " documents (" << FormatCount(manifest.chunks)
                << " chunks, " << FormatBytes(manifest.bytes) << ") of commit " << manifest.commit << ".\n";
  return absl::OkStatus();
}

absl::StatusOr<int> RunBackup(const std::string& backup, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(std::string data, LocalDataFolder(session.options()));
  LASTRO_ASSIGN_OR_RETURN(BackupManifest manifest, retrieval::BackUp(data, backup, session.context()));
  LASTRO_RETURN_IF_ERROR(PrintManifest("Backed up", backup, manifest, session));
  return kExitOk;
}

absl::StatusOr<int> RunRestore(const RestoreOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(std::string data, LocalDataFolder(session.options()));
  LASTRO_ASSIGN_OR_RETURN(BackupManifest manifest,
                          retrieval::Restore(options.backup, data, options.replace, session.context()));
  LASTRO_RETURN_IF_ERROR(PrintManifest("Restored", data, manifest, session));
  return kExitOk;
}

// --- Purges

void AddReceipt(const PurgeReceipt& receipt, Struct* message) {
  auto& fields = *message->mutable_fields();
  fields["id"] = JsonNumber(receipt.id);
  fields["from_commit"] = JsonNumber(receipt.from_commit);
  fields["to_commit"] = JsonNumber(receipt.to_commit);
  fields["at"] = JsonText(TimeText(receipt.at));
  fields["bytes_before"] = JsonNumber(receipt.bytes_before);
  fields["bytes_after"] = JsonNumber(receipt.bytes_after);
  fields["full_text_indexes"] = JsonNumber(receipt.full_text_indexes);
  fields["vector_indexes"] = JsonNumber(receipt.vector_indexes);
}

absl::Status PrintReceipts(const std::vector<PurgeReceipt>& receipts, Session& session) {
  if (session.options().json) {
    Struct message;
    auto* list = (*message.mutable_fields())["purges"].mutable_list_value();
    for (const PurgeReceipt& receipt : receipts) AddReceipt(receipt, list->add_values()->mutable_struct_value());
    return session.PrintJson(message);
  }
  Table table({{"id", Table::Align::kRight},
               {"at"},
               {"gone up to commit", Table::Align::kRight},
               {"before", Table::Align::kRight},
               {"after", Table::Align::kRight},
               {"full-text merged", Table::Align::kRight},
               {"vector indexes remade", Table::Align::kRight}});
  for (const PurgeReceipt& receipt : receipts) {
    table.AddRow({FormatCount(receipt.id), TimeText(receipt.at), FormatCount(receipt.to_commit),
                  FormatBytes(receipt.bytes_before), FormatBytes(receipt.bytes_after),
                  FormatCount(receipt.full_text_indexes), FormatCount(receipt.vector_indexes)});
  }
  if (table.empty()) {
    session.out() << "No purges.\n";
  } else {
    table.Print(session.out(), session.out_terminal());
  }
  return absl::OkStatus();
}

absl::StatusOr<int> RunPurge(bool list, Session& session) {
  retrieval::SqliteStoreOptions options;
  LASTRO_ASSIGN_OR_RETURN(options.folder, LocalDataFolder(session.options()));
  LASTRO_ASSIGN_OR_RETURN(auto store, retrieval::SqliteStore::Open(options));
  std::vector<PurgeReceipt> receipts;
  if (list) {
    LASTRO_ASSIGN_OR_RETURN(receipts, store->Purges());
  } else {
    LASTRO_ASSIGN_OR_RETURN(PurgeReceipt receipt, store->Purge());
    receipts.push_back(receipt);
  }
  LASTRO_RETURN_IF_ERROR(PrintReceipts(receipts, session));
  return kExitOk;
}

void AddBackup(CommandSet* set, CLI::App* store) {
  auto backup = std::make_shared<std::string>();
  CLI::App* command =
      set->AddTo(store, "backup", "Copies the store into a new folder; a server may have it open meanwhile",
                 {"lastro store backup /backups/monday", "lastro store backup ./copy --data /var/lib/lastro --json"});
  command->add_option("folder", *backup, "The new folder")->required()->type_name("DIR");
  set->OnRun(command, [backup](Session& session) { return RunBackup(*backup, session); });
}

void AddRestore(CommandSet* set, CLI::App* store) {
  auto options = std::make_shared<RestoreOptions>();
  CLI::App* command = set->AddTo(
      store, "restore", "Makes the store what a backup is, after checking the backup's hash",
      {"lastro store restore /backups/monday --data ./restored", "lastro store restore /backups/monday --replace"});
  command->add_option("folder", options->backup, "The backup's folder")->required()->type_name("DIR");
  command->add_flag("--replace", options->replace, "A store that is there goes");
  set->OnRun(command, [options](Session& session) { return RunRestore(*options, session); });
}

void AddPurge(CommandSet* set, CLI::App* store) {
  auto list = std::make_shared<bool>(false);
  CLI::App* command =
      set->AddTo(store, "purge", "Takes what was deleted or replaced out of every file, and gives a receipt",
                 {"lastro store purge", "lastro store purge --list --json"});
  command->add_flag("--list", *list, "Only show the receipts there are");
  set->OnRun(command, [list](Session& session) { return RunPurge(*list, session); });
}

}  // namespace

void AddStoreCommand(CommandSet* set) {
  CLI::App* store = set->Add("store", "Backs up, restores and purges the store of a data folder",
                             {"lastro store backup /backups/monday", "lastro store purge"});
  store->require_subcommand(1);
  AddBackup(set, store);
  AddRestore(set, store);
  AddPurge(set, store);
}

}  // namespace lastro::services
