// PrefixCache: the KV blocks of texts that were computed before, kept for texts that begin with the same tokens. A tree
// of whole blocks per scope: what one scope computed no other finds. Tokens are compared, not hashes of them.
//
// The cache holds at most so many bytes of the model's KV memory, gives the block used longest ago back first, and
// gives back what others need when the memory is full. A scope has a version: when a text of another one begins,
// all that the last left is dropped, and what runs on in that leaves nothing more.
//
// Thread-safe. The pool must outlive the cache.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/kv_pool.h"

namespace lastro::engine {

// Who may reuse a text's blocks: such as the collection that its passages are from, at the state it was read in.
struct KvScope {
  std::string name;
  int64_t version = 0;
};

class PrefixCache {
 public:
  PrefixCache(KvPool& pool, int64_t max_bytes);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // The blocks of the longest run of whole blocks that `tokens` begins with and that is known; of at most `limit`
  // tokens. From now on the scope has this version.
  BlockTable Find(const KvScope& scope, absl::Span<const int32_t> tokens, int64_t limit);

  // Keeps the whole blocks of `tokens`, which `table` begins with, unless the scope has another version by now.
  void Add(const KvScope& scope, absl::Span<const int32_t> tokens, const BlockTable& table);

  int64_t blocks() const;

 private:
  struct Node;
  using Recent = std::list<Node*>;
  using Children = std::map<std::vector<int32_t>, std::unique_ptr<Node>>;
  struct Node {
    Node* parent = nullptr;  // null: the root of a scope
    Children::iterator self;
    int32_t block = -1;
    Children children;
    Recent::iterator recent;
  };
  struct Root {
    int64_t version = 0;
    Node node;
  };

  Root& RootOf(const KvScope& scope) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // made where there is none
  // From `node` up: the root's side ends up as the most recent, so that the least recent node is always a leaf.
  void Touch(Node* node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropAll(Node* node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // what is below it
  // Gives back blocks until `count` have become free; false when there were none to give.
  bool GiveBack(int64_t count);

  KvPool& pool_;
  const int64_t max_blocks_;
  mutable absl::Mutex mutex_;
  std::map<std::string, std::unique_ptr<Root>> roots_ ABSL_GUARDED_BY(mutex_);
  Recent recent_ ABSL_GUARDED_BY(mutex_);  // the last used first
};

}  // namespace lastro::engine
