#include "services/cli/documents.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr int kPageDocuments = 500;
constexpr int64_t kPieceBytes = 2 << 20;

}  // namespace

absl::StatusOr<v1::Document> FindDocument(const std::string& name, const std::string& collection,
                                          RetrievalApi& retrieval, const CallContext& context) {
  v1::GetDocumentRequest request;
  request.set_collection(collection);
  request.set_uri(name);
  absl::StatusOr<v1::Document> by_uri = retrieval.GetDocument(request, context);
  if (!absl::IsNotFound(by_uri.status())) return by_uri;
  request.clear_uri();
  request.set_document_id(name);
  absl::StatusOr<v1::Document> by_id = retrieval.GetDocument(request, context);
  bool unknown = absl::IsNotFound(by_id.status()) || absl::IsInvalidArgument(by_id.status());
  return unknown ? by_uri : by_id;  // the first error tells a missing collection from a missing document
}

absl::Status ForEachDocument(v1::ListDocumentsRequest request, int64_t limit, RetrievalApi& retrieval,
                             const CallContext& context, const std::function<absl::Status(const v1::Document&)>& sink) {
  int64_t left = limit > 0 ? limit : INT64_MAX;
  request.set_page_size(static_cast<int32_t>(std::min<int64_t>(left, kPageDocuments)));
  do {
    LASTRO_ASSIGN_OR_RETURN(v1::ListDocumentsResponse page, retrieval.ListDocuments(request, context));
    for (const v1::Document& document : page.documents()) {
      if (left-- <= 0) return absl::OkStatus();
      LASTRO_RETURN_IF_ERROR(sink(document));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && left > 0);
  return absl::OkStatus();
}

absl::Status ReadSource(const v1::Document& document, RetrievalApi& retrieval, const CallContext& context,
                        const std::function<absl::Status(const std::string&)>& sink) {
  int64_t total = 1;  // known from the first piece on
  for (int64_t begin = 0; begin < total;) {
    v1::GetSourceRequest request;
    request.set_collection(document.collection());
    request.set_document_id(document.id());
    request.mutable_range()->set_begin(begin);
    request.mutable_range()->set_end(begin + kPieceBytes);
    LASTRO_ASSIGN_OR_RETURN(v1::GetSourceResponse piece, retrieval.GetSource(request, context));
    total = piece.total_bytes();
    bool changed = piece.source_sha256() != document.source_sha256() || (piece.content().empty() && begin < total);
    if (changed) {
      return absl::AbortedError(absl::StrCat(document.uri(), " changed while it was read; run the command again"));
    }
    LASTRO_RETURN_IF_ERROR(sink(piece.content()));
    begin += static_cast<int64_t>(piece.content().size());
  }
  return absl::OkStatus();
}

}  // namespace lastro::services
