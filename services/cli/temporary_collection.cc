#include "services/cli/temporary_collection.h"

#include <unistd.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/cli/text_width.h"

namespace lastro::services {

absl::StatusOr<std::unique_ptr<TemporaryCollection>> TemporaryCollection::Make(const std::string& prefix,
                                                                               Session& session) {
  if (session.in_process()) {
    auto made = absl::WrapUnique(new TemporaryCollection(prefix, &session));
    LASTRO_ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::Make());
    made->folder_.emplace(std::move(folder));
    LASTRO_ASSIGN_OR_RETURN(made->own_node_, session.NodeOn(made->folder_->path()));
    made->node_ = made->own_node_.get();
    return made;
  }
  if (!session.context().scope().all_labels) {
    return absl::InvalidArgumentError(
        "a temporary collection on a server takes a caller that may delete it; leave --labels out");
  }
  const std::string name = absl::StrCat(prefix, "-", absl::ToUnixSeconds(absl::Now()), "-", getpid());
  auto made = absl::WrapUnique(new TemporaryCollection(name, &session));
  LASTRO_ASSIGN_OR_RETURN(made->node_, session.node());
  return made;
}

TemporaryCollection::~TemporaryCollection() {
  if (folder_ || node_ == nullptr) return;
  Scope scope = session_.context().scope();
  Delete(scope);
  if (!other_tenant_) return;
  scope.tenant = *other_tenant_;
  Delete(scope);
}

void TemporaryCollection::Delete(const Scope& scope) {
  v1::DeleteCollectionRequest request;
  request.set_collection(name_);
  // Not the session's context: that may have ended.
  const CallContext context = CallContext::Until(absl::Now() + absl::Seconds(30)).WithScope(scope);
  const absl::Status status = node_->retrieval().DeleteCollection(request, context).status();
  if (status.ok() || absl::IsNotFound(status)) return;  // it may not have been made yet
  if (session_.err_terminal().is_terminal) session_.err() << "\r\x1b[K";
  const std::string tenant = scope.tenant.empty() ? "" : absl::StrCat("--tenant ", scope.tenant, " ");
  session_.err() << "lastro: the collection " << name_
                 << " stays on the server: " << OneLine(std::string(status.message())) << "; remove it with 'lastro "
                 << tenant << "collections delete " << name_ << "'\n";
}

}  // namespace lastro::services
