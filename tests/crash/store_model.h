// What a store must hold, kept in memory, and the comparison with what one does hold.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "retrieval/document_table.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {

using StoreContents = std::map<std::string, std::map<std::string, TestDocument>>;  // collection, uri

// "" when the document is stored whole and found by its texts, else what differs. An error that says that data is
// damaged is put into `refusal` when given: no answer rather than a wrong one.
inline std::string DifferenceOf(SqliteStore& store, const TestDocument& expected, absl::Status* refusal) {
  const std::string& collection = expected.document.collection;
  const std::string& uri = expected.document.uri;
  auto failed = [&](const absl::Status& status) {
    if (refusal != nullptr && absl::IsDataLoss(status)) {
      *refusal = status;
      return std::string();
    }
    return absl::StrCat(uri, ": ", status.ToString());
  };
  absl::StatusOr<Document> document = store.FindDocument(collection, uri);
  if (!document.ok()) return failed(document.status());
  if (document->title != expected.document.title || document->metadata != expected.document.metadata) {
    return uri + ": another title or other metadata";
  }
  absl::StatusOr<std::string> original = store.ReadOriginal(collection, document->id);
  if (!original.ok()) return failed(original.status());
  if (*original != expected.original) return uri + ": another original";
  absl::StatusOr<std::vector<Chunk>> chunks = store.GetChunks(collection, document->id, /*with_vectors=*/true);
  if (!chunks.ok()) return failed(chunks.status());
  if (chunks->size() != expected.chunks.size()) return uri + ": another number of chunks";
  for (size_t i = 0; i < chunks->size(); ++i) {
    const Chunk& chunk = expected.chunks[i];
    if ((*chunks)[i].text != chunk.text || (*chunks)[i].vector != chunk.vector ||
        (*chunks)[i].text_sha256 != chunk.text_sha256 || (*chunks)[i].segments.size() != chunk.segments.size()) {
      return uri + ": another chunk";
    }
    for (SearchMode mode : {SearchMode::kLexical, SearchMode::kDense}) {
      absl::StatusOr<SearchResult> found = store.Search(MakeQuery(mode, chunk.text, collection), CallContext());
      if (!found.ok()) return failed(found.status());
      if (found->hits.empty() || found->hits[0].chunk.text != chunk.text) return uri + ": is not found";
    }
  }
  return "";
}

// "" when the store holds exactly `expected`, else the first difference.
inline std::string DifferenceOf(SqliteStore& store, const StoreContents& expected, absl::Status* refusal = nullptr) {
  absl::StatusOr<std::vector<Collection>> collections = store.ListCollections();
  if (!collections.ok() && refusal != nullptr && absl::IsDataLoss(collections.status())) {
    *refusal = collections.status();
    return "";
  }
  if (!collections.ok()) return collections.status().ToString();
  if (collections->size() != expected.size()) return absl::StrCat(collections->size(), " collections");
  for (const auto& [collection, documents] : expected) {
    absl::StatusOr<std::map<std::string, DocumentState>> states = store.DocumentStates(collection);
    if (!states.ok() && refusal != nullptr && absl::IsDataLoss(states.status())) {
      *refusal = states.status();
      continue;
    }
    if (!states.ok()) return states.status().ToString();
    for (const auto& [uri, state] : *states) {
      if (documents.count(uri) == 0) return uri + " is there and should not be";
    }
    for (const auto& [uri, document] : documents) {
      if (states->count(uri) == 0) return uri + " is missing";
      std::string difference = DifferenceOf(store, document, refusal);
      if (!difference.empty()) return difference;
    }
  }
  return "";
}

}  // namespace lastro::retrieval::testing
