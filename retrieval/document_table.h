// The tables `documents` and `fields`. Functions run in the caller's transaction.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retrieval/chunk_store.h"
#include "retrieval/collection_table.h"
#include "retrieval/sqlite.h"
#include "retrieval/top_candidates.h"

namespace lastro::retrieval {

struct DocumentRow {
  int64_t row = 0;
  Document document;
};

// First 32 hexadecimal digits of SHA-256(collection '\0' uri).
std::string DocumentId(const std::string& collection, const std::string& uri);

// NOT_FOUND; `what`: "with id ...", "with uri ...".
absl::Status NoDocument(const CollectionRow& collection, absl::string_view what);

// NOT_FOUND unless it is in `collection`.
absl::StatusOr<DocumentRow> FindDocumentById(Database& db, const CollectionRow& collection, const std::string& id);
absl::StatusOr<DocumentRow> FindDocumentByUri(Database& db, const CollectionRow& collection, const std::string& uri);
absl::StatusOr<DocumentRow> FindDocumentByRow(Database& db, const CollectionRow& collection, int64_t row);

// Inserts `document`, complete but for its chunks, with its fields; its row.
absl::StatusOr<int64_t> InsertDocument(Database& db, int64_t collection, const Document& document);
// DATA_LOSS unless the fields of a row are those of `document`.
absl::Status CheckFields(Database& db, int64_t row, const Document& document);
// Makes the fields of all documents anew that can be read.
absl::Status RemakeFields(Database& db);
// Removes the row and its fields; its chunks must be gone.
absl::Status EraseDocument(Database& db, int64_t row);

// Up to `count` documents that match `filter`, by uri, after `after_uri` when given.
absl::StatusOr<std::vector<Document>> SelectDocuments(Database& db, const CollectionRow& collection,
                                                      const Filter& filter, int count,
                                                      const std::optional<std::string>& after_uri);

struct FilteredDocuments {
  DocumentSet rows;
  int64_t chunks = 0;  // of all of them together
};
absl::StatusOr<FilteredDocuments> SelectDocumentRows(Database& db, int64_t collection, const Filter& filter);

// By uri, of the documents that match `filter`.
absl::StatusOr<std::map<std::string, DocumentState>> SelectDocumentStates(Database& db, int64_t collection,
                                                                          const Filter& filter);

}  // namespace lastro::retrieval
