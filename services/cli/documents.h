// Documents as commands name them. Functions of their arguments; thread-safe.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "services/api.h"

namespace lastro::services {

// The document whose uri, or else whose id, is `name`. NOT_FOUND when there is none.
absl::StatusOr<v1::Document> FindDocument(const std::string& name, const std::string& collection,
                                          RetrievalApi& retrieval, const CallContext& context);

// Calls `sink` with every document that `request` finds, page after page, at most `limit` (0: all).
absl::Status ForEachDocument(v1::ListDocumentsRequest request, int64_t limit, RetrievalApi& retrieval,
                             const CallContext& context, const std::function<absl::Status(const v1::Document&)>& sink);

// Calls `sink` with the bytes of the document's source in order, piece after piece. ABORTED when the source changed
// meanwhile.
absl::Status ReadSource(const v1::Document& document, RetrievalApi& retrieval, const CallContext& context,
                        const std::function<absl::Status(const std::string&)>& sink);

}  // namespace lastro::services
