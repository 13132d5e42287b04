#include "retrieval/bm25.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <new>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/fts_tokenizer.h"
#include "retrieval/sqlite.h"

namespace lastro::retrieval {
namespace {

constexpr int kColumns = 3;  // title, headings, body
constexpr double kSaturation = 1.2;
constexpr std::array<double, kColumns> kWeight = {3.0, 2.0, 1.0};
constexpr std::array<double, kColumns> kLengthShare = {0, 0, 0.75};

// What does not change from row to row of a query.
struct QueryStatistics {
  std::vector<double> idf;  // by phrase
  std::array<double, kColumns> mean_length{};
  std::vector<double> frequency;  // by phrase: of the row at hand
};

void DeleteStatistics(void* statistics) { delete static_cast<QueryStatistics*>(statistics); }

int CountRow(const Fts5ExtensionApi*, Fts5Context*, void* count) {
  ++*static_cast<sqlite3_int64*>(count);
  return SQLITE_OK;
}

int Compute(const Fts5ExtensionApi* api, Fts5Context* fts, QueryStatistics* statistics) {
  sqlite3_int64 rows = 0;
  int code = api->xRowCount(fts, &rows);
  const double count = static_cast<double>(std::max<sqlite3_int64>(rows, 1));
  for (int column = 0; column < kColumns && code == SQLITE_OK; ++column) {
    sqlite3_int64 tokens = 0;
    code = api->xColumnTotalSize(fts, column, &tokens);
    statistics->mean_length[static_cast<size_t>(column)] = std::max(static_cast<double>(tokens) / count, 1e-9);
  }
  for (int phrase = 0; phrase < api->xPhraseCount(fts) && code == SQLITE_OK; ++phrase) {
    sqlite3_int64 containing = 0;
    code = api->xQueryPhrase(fts, phrase, &containing, CountRow);
    const double n = static_cast<double>(std::min(containing, rows));
    statistics->idf.push_back(std::log(1 + (static_cast<double>(rows) - n + 0.5) / (n + 0.5)));
  }
  statistics->frequency.resize(statistics->idf.size());
  return code;
}

// The statistics of the query, computed at its first row.
int Statistics(const Fts5ExtensionApi* api, Fts5Context* fts, QueryStatistics** out) {
  *out = static_cast<QueryStatistics*>(api->xGetAuxdata(fts, 0));
  if (*out != nullptr) return SQLITE_OK;
  auto computed = std::make_unique<QueryStatistics>();
  int code = Compute(api, fts, computed.get());
  if (code != SQLITE_OK) return code;
  *out = computed.get();
  return api->xSetAuxdata(fts, computed.release(), DeleteStatistics);  // frees it on failure
}

// What one occurrence in each column adds to a phrase's frequency.
int ColumnGains(const Fts5ExtensionApi* api, Fts5Context* fts, const QueryStatistics& statistics,
                std::array<double, kColumns>* gains) {
  for (size_t column = 0; column < kColumns; ++column) {
    int tokens = 0;
    int code = api->xColumnSize(fts, static_cast<int>(column), &tokens);
    if (code != SQLITE_OK) return code;
    const double b = kLengthShare[column];
    (*gains)[column] = kWeight[column] / (1 - b + b * tokens / statistics.mean_length[column]);
  }
  return SQLITE_OK;
}

int Score(const Fts5ExtensionApi* api, Fts5Context* fts, double* score) {
  QueryStatistics* statistics = nullptr;
  int code = Statistics(api, fts, &statistics);
  if (code != SQLITE_OK) return code;
  std::array<double, kColumns> gains{};
  code = ColumnGains(api, fts, *statistics, &gains);
  if (code != SQLITE_OK) return code;
  std::fill(statistics->frequency.begin(), statistics->frequency.end(), 0.0);
  int occurrences = 0;
  code = api->xInstCount(fts, &occurrences);
  for (int i = 0; i < occurrences && code == SQLITE_OK; ++i) {
    int phrase = 0, column = 0, offset = 0;
    code = api->xInst(fts, i, &phrase, &column, &offset);
    if (code == SQLITE_OK) statistics->frequency[static_cast<size_t>(phrase)] += gains[static_cast<size_t>(column)];
  }
  for (size_t phrase = 0; phrase < statistics->idf.size(); ++phrase) {
    const double frequency = statistics->frequency[phrase];
    *score += statistics->idf[phrase] * (kSaturation + 1) * frequency / (kSaturation + frequency);
  }
  return code;
}

// A callback of C: no exception may leave it.
void Bm25(const Fts5ExtensionApi* api, Fts5Context* fts, sqlite3_context* result, int, sqlite3_value**) {
  try {
    double score = 0;
    int code = api->xColumnCount(fts) == kColumns ? Score(api, fts, &score) : SQLITE_MISUSE;
    code == SQLITE_OK ? sqlite3_result_double(result, -score) : sqlite3_result_error_code(result, code);
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(result);
  }
}

}  // namespace

absl::Status RegisterBm25(sqlite3* db) {
  absl::StatusOr<fts5_api*> api = FindFts5(db);
  if (!api.ok()) return api.status();
  int code = (*api)->xCreateFunction(*api, "lastro_bm25", nullptr, Bm25, nullptr);
  if (code != SQLITE_OK) return SqliteError(code, db, "register the ranking function");
  return absl::OkStatus();
}

}  // namespace lastro::retrieval
