#include "retrieval/lexical_search.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/lexical_query.h"
#include "retrieval/schema.h"

namespace lastro::retrieval {
namespace {

constexpr char kRank[] = "bm25(3.0, 2.0, 1.0)";

absl::StatusOr<int64_t> DocumentOf(Statement& query, int64_t chunk) {
  LASTRO_ASSIGN_OR_RETURN(bool found, query.Bind(1, chunk).Step());
  if (!found)
    return absl::DataLossError(absl::StrCat("store: the full-text index knows chunk ", chunk, ", the store not"));
  int64_t document = query.Int(0);
  query.Reset();
  return document;
}

}  // namespace

absl::StatusOr<std::vector<LexicalCandidate>> SearchLexical(Database& db, const CollectionRow& collection,
                                                            const std::string& text, size_t count,
                                                            const FilteredDocuments* allowed) {
  std::vector<LexicalCandidate> found;
  std::string expression = BuildMatchExpression(text);
  if (expression.empty() || (allowed != nullptr && allowed->rows.empty())) return found;
  std::string table = FtsTable(collection.row);
  LASTRO_ASSIGN_OR_RETURN(Statement matches,
                          db.Prepare(absl::StrCat("SELECT rowid, rank FROM ", table, " WHERE ", table,
                                                  " MATCH ?1 AND rank MATCH '", kRank, "' ORDER BY rank, rowid")));
  LASTRO_ASSIGN_OR_RETURN(Statement document, db.Prepare("SELECT document FROM chunks WHERE id=?1"));
  matches.BindText(1, expression);
  while (found.size() < count) {
    LASTRO_ASSIGN_OR_RETURN(bool more, matches.Step());
    if (!more) break;
    LexicalCandidate candidate{matches.Int(0), 0, -matches.Double(1)};  // FTS5: the smaller the better
    LASTRO_ASSIGN_OR_RETURN(candidate.document, DocumentOf(document, candidate.chunk));
    if (allowed == nullptr || allowed->rows.contains(candidate.document)) found.push_back(candidate);
  }
  return found;
}

}  // namespace lastro::retrieval
