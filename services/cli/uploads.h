// Uploads of local files, counted as a job counts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/call_context.h"
#include "lastro/v1/ingest.pb.h"
#include "services/node.h"

namespace lastro::services {

struct UploadSettings {
  std::string collection;
  std::vector<std::string> include;  // globs on paths relative to the folder; empty: all of a format that is known
  std::vector<std::string> exclude;
  std::map<std::string, v1::MetadataValue> metadata;
  std::vector<std::string> labels;
};

// The uri of a single file: its path as given, without "./"; only its name when it is absolute or leads out with "..".
std::string UriOfFile(const std::string& path);

// Not thread-safe.
class Uploader {
 public:
  // References must outlive the uploader. Each file is counted in `job`; `progress` is called after each.
  Uploader(const UploadSettings& settings, Node& node, const CallContext& context, v1::Job* job,
           std::function<void(const v1::Job&)> progress);

  // Files that cannot be read or ingested become problems of the job. Errors that end everything: NOT_FOUND (the file
  // or folder itself), and those of the server that have nothing to do with one file.
  absl::Status UploadFile(const std::string& path);
  absl::Status UploadFolder(const std::string& folder);

 private:
  absl::Status UploadFrom(const std::string& root, const std::string& name, const std::string& uri);
  absl::Status Send(const std::string& uri, const std::string& content);
  bool IsWanted(const std::string& uri) const;
  void AddProblem(const std::string& uri, absl::string_view reason);

  const UploadSettings& settings_;
  Node& node_;
  const CallContext context_;
  v1::Job* const job_;
  const std::function<void(const v1::Job&)> progress_;
};

}  // namespace lastro::services
