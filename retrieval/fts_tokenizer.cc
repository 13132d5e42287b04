#include "retrieval/fts_tokenizer.h"

#include <sqlite3.h>

#include <new>

#include "retrieval/search_terms.h"
#include "retrieval/sqlite.h"
#include "retrieval/word_breaker.h"

// The callbacks have C linkage by contract: no exception may leave them.
struct Fts5Tokenizer {
  lastro::retrieval::SearchTerms terms;
};

namespace lastro::retrieval {
namespace {

int Create(void* /*context*/, const char** /*arguments*/, int /*count*/, Fts5Tokenizer** out) {
  try {
    *out = new Fts5Tokenizer();
    return SQLITE_OK;
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
}

void Delete(Fts5Tokenizer* tokenizer) { delete tokenizer; }

using TokenCallback = int (*)(void*, int, const char*, int, int, int);

// A query string that is one compound as a whole means the compound as a whole: its last term.
int EmitCompound(Fts5Tokenizer& tokenizer, const Word& word, void* context, TokenCallback emit) {
  const std::string& term = tokenizer.terms.Of(word).back();
  return emit(context, 0, term.data(), static_cast<int>(term.size()), 0, static_cast<int>(word.compound.size()));
}

int EmitTokens(Fts5Tokenizer& tokenizer, absl::string_view text, int mode, void* context, TokenCallback emit) {
  WordBreaker breaker(text);
  Word word;
  while (breaker.Next(&word)) {
    const bool query = (mode & FTS5_TOKENIZE_QUERY) != 0;
    if (query && word.compound.size() == text.size()) return EmitCompound(tokenizer, word, context, emit);
    int flags = 0;
    for (const std::string& term : tokenizer.terms.Of(word)) {
      int code = emit(context, flags, term.data(), static_cast<int>(term.size()), static_cast<int>(word.begin),
                      static_cast<int>(word.end));
      if (code != SQLITE_OK) return code;
      if ((mode & FTS5_TOKENIZE_PREFIX) != 0) break;  // what begins with the stem of a prefix is something else
      flags = FTS5_TOKEN_COLOCATED;
    }
  }
  return SQLITE_OK;
}

int Tokenize(Fts5Tokenizer* tokenizer, void* context, int flags, const char* text, int size, TokenCallback emit) {
  if (text == nullptr || size <= 0) return SQLITE_OK;
  try {
    return EmitTokens(*tokenizer, absl::string_view(text, static_cast<size_t>(size)), flags, context, emit);
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
}

}  // namespace

absl::StatusOr<fts5_api*> FindFts5(sqlite3* db) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &statement, nullptr);
  if (code != SQLITE_OK) return SqliteError(code, db, "find FTS5 (is it compiled into SQLite?)");
  fts5_api* api = nullptr;
  sqlite3_bind_pointer(statement, 1, &api, "fts5_api_ptr", nullptr);
  sqlite3_step(statement);
  sqlite3_finalize(statement);
  if (api == nullptr || api->iVersion < 2) return absl::FailedPreconditionError("store: SQLite has no usable FTS5");
  return api;
}

absl::Status RegisterTokenizer(sqlite3* db) {
  absl::StatusOr<fts5_api*> api = FindFts5(db);
  if (!api.ok()) return api.status();
  fts5_tokenizer tokenizer{Create, Delete, Tokenize};
  int code = (*api)->xCreateTokenizer(*api, "lastro", nullptr, &tokenizer, nullptr);
  if (code != SQLITE_OK) return SqliteError(code, db, "register the tokenizer");
  return absl::OkStatus();
}

}  // namespace lastro::retrieval
