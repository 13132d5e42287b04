#include "retrieval/purge_table.h"

#include "base/status_macros.h"
#include "retrieval/timestamps.h"

namespace lastro::retrieval {
namespace {

constexpr char kPurges[] = R"sql(
CREATE TABLE IF NOT EXISTS purges(
  id INTEGER PRIMARY KEY,
  from_commit INTEGER NOT NULL,
  to_commit INTEGER NOT NULL,
  at_ns INTEGER NOT NULL,
  bytes_before INTEGER NOT NULL,
  bytes_after INTEGER NOT NULL,
  full_text_indexes INTEGER NOT NULL,
  vector_indexes INTEGER NOT NULL
);
)sql";

}  // namespace

absl::Status CreatePurgeTable(Database& db) { return db.Execute(kPurges); }

absl::Status InsertPurge(Database& db, PurgeReceipt* receipt) {
  LASTRO_ASSIGN_OR_RETURN(Statement insert,
                          db.Prepare("INSERT INTO purges(from_commit, to_commit, at_ns, bytes_before, bytes_after, "
                                     "full_text_indexes, vector_indexes) VALUES(?1,?2,?3,?4,?5,?6,?7)"));
  insert.Bind(1, receipt->from_commit).Bind(2, receipt->to_commit).Bind(3, ToStoredTime(receipt->at));
  insert.Bind(4, receipt->bytes_before).Bind(5, receipt->bytes_after);
  insert.Bind(6, receipt->full_text_indexes).Bind(7, receipt->vector_indexes);
  LASTRO_RETURN_IF_ERROR(insert.Run());
  receipt->id = db.last_insert_id();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PurgeReceipt>> ListPurges(Database& db) {
  LASTRO_ASSIGN_OR_RETURN(Statement query,
                          db.Prepare("SELECT id, from_commit, to_commit, at_ns, bytes_before, bytes_after, "
                                     "full_text_indexes, vector_indexes FROM purges ORDER BY id DESC"));
  std::vector<PurgeReceipt> receipts;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(bool more, query.Step());
    if (!more) return receipts;
    receipts.push_back({query.Int(0), query.Int(1), query.Int(2), FromStoredTime(query.Int(3)), query.Int(4),
                        query.Int(5), query.Int(6), query.Int(7)});
  }
}

}  // namespace lastro::retrieval
