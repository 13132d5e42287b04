#include "retrieval/filter_cache.h"

#include "base/status_macros.h"
#include "retrieval/byte_codec.h"
#include "retrieval/record_codec.h"

namespace lastro::retrieval {
namespace {

// A slot of a flat hash set and its control byte.
size_t BytesOf(const DocumentSet& rows) { return rows.capacity() * (sizeof(int64_t) + 1); }

}  // namespace

absl::StatusOr<std::shared_ptr<const FilteredDocuments>> FilterCache::Select(const ReadSnapshot& snapshot,
                                                                             int64_t collection,
                                                                             const Filter& filter) {
  ByteWriter writer;
  writer.Signed(snapshot.commit());
  writer.Signed(collection);
  writer.String(EncodeFilter(filter));
  const std::string key = writer.Take();
  if (auto known = selections_.Find(key)) return known;
  LASTRO_ASSIGN_OR_RETURN(FilteredDocuments selected, SelectDocumentRows(snapshot.db(), collection, filter));
  const size_t bytes = sizeof(FilteredDocuments) + BytesOf(selected.rows);
  auto kept = std::make_shared<const FilteredDocuments>(std::move(selected));
  selections_.Insert(key, kept, bytes);
  return kept;
}

}  // namespace lastro::retrieval
