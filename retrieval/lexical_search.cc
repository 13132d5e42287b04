#include "retrieval/lexical_search.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "retrieval/lexical_query.h"
#include "retrieval/schema.h"

namespace lastro::retrieval {
namespace {

absl::StatusOr<int64_t> DocumentOf(Statement& query, int64_t chunk) {
  LASTRO_ASSIGN_OR_RETURN(bool found, query.Bind(1, chunk).Step());
  if (!found)
    return absl::DataLossError(absl::StrCat("store: the full-text index knows chunk ", chunk, ", the store not"));
  int64_t document = query.Int(0);
  query.Reset();
  return document;
}

absl::StatusOr<std::vector<LexicalCandidate>> Match(Database& db, const std::string& table,
                                                    const std::string& expression, size_t count,
                                                    const FilteredDocuments* allowed) {
  LASTRO_ASSIGN_OR_RETURN(
      Statement matches,
      db.Prepare(absl::StrCat("SELECT rowid, rank FROM ", table, " WHERE ", table,
                              " MATCH ?1 AND rank MATCH 'lastro_bm25()' ORDER BY rank, rowid")));
  LASTRO_ASSIGN_OR_RETURN(Statement document, db.Prepare("SELECT document FROM chunks WHERE id=?1"));
  matches.BindText(1, expression);
  std::vector<LexicalCandidate> found;
  while (found.size() < count) {
    LASTRO_ASSIGN_OR_RETURN(bool more, matches.Step());
    if (!more) break;
    LexicalCandidate candidate{matches.Int(0), 0, -matches.Double(1)};  // FTS5: the smaller the better
    LASTRO_ASSIGN_OR_RETURN(candidate.document, DocumentOf(document, candidate.chunk));
    if (allowed == nullptr || allowed->rows.contains(candidate.document)) found.push_back(candidate);
  }
  return found;
}

}  // namespace

absl::StatusOr<LexicalResult> SearchLexical(Database& db, const CollectionRow& collection, const std::string& text,
                                            size_t count, const FilteredDocuments* allowed) {
  LexicalQuery query = ParseLexicalQuery(text);
  LexicalResult result{{}, std::move(query.strict), false};
  if (result.expression.empty() || (allowed != nullptr && allowed->rows.empty())) return result;
  const std::string table = FtsTable(collection.row);
  LASTRO_ASSIGN_OR_RETURN(result.candidates, Match(db, table, result.expression, count, allowed));
  if (!result.candidates.empty() || result.expression == query.any) return result;
  result.expression = std::move(query.any);
  result.phrases_optional = true;
  LASTRO_ASSIGN_OR_RETURN(result.candidates, Match(db, table, result.expression, count, allowed));
  return result;
}

}  // namespace lastro::retrieval
