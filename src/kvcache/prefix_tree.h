// Keys and values that were computed before, found by the tokens that they stand for: a tree whose nodes are pages.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kvcache/page_pool.h"
#include "kvcache/page_table.h"

namespace tenon::kvcache {

/// Every sequence with the same beginning may read the same pages, since equal tokens make equal bits here, however
/// they were computed. A node is one page: a full one below its parent's tokens, or, as a leaf, the partly filled last
/// page of a sequence that has ended. The pages of a running sequence's full blocks are those of its path, so whoever
/// holds a node's page holds its ancestors' too, and a node that nobody uses has no descendant in use.
///
/// Pages that the tree alone holds count as free (PagePool); those used longest ago go first, leaves before parents.
/// `salt` keeps tenants apart: nothing is found under another salt. Used by one thread at a time.
class PrefixTree {
 public:
  struct Node;
  using Tokens = std::span<const std::int32_t>;

  explicit PrefixTree(PagePool& pool);
  ~PrefixTree();
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  /// The full page of the first kPageTokens of `tokens` below `at` (null: the root), with its page; or null.
  Node* find(Node* at, Tokens tokens, std::string_view salt);
  static const Page& page_of(const Node* node);

  struct Partial {
    Page page;                ///< to copy from: another sequence's
    std::int64_t tokens = 0;  ///< its first ones are wanted; at least 1
  };
  /// The page below `at` that begins with the most of `tokens`; none if not even one.
  std::optional<Partial> find_partial(Node* at, Tokens tokens, std::string_view salt);

  /// Page `index` of `pages` holds exactly `tokens` (a full page) below `at`. If the tree has such a page already, the
  /// table is given that one instead of its own. Returns the node.
  Node* insert(Node* at, Tokens tokens, std::string_view salt, PageTable& pages, std::int64_t index);
  /// The same for a partly filled page, which nobody will write any more.
  void insert_partial(Node* at, Tokens tokens, std::string_view salt, const Page& page);

  /// The path from the root to this node was used just now.
  void touch(Node* node);

  std::int64_t nodes() const { return static_cast<std::int64_t>(by_use_.size()); }

 private:
  using Key = std::pmr::vector<std::int32_t>;
  struct Destroy {
    std::pmr::memory_resource* memory;
    void operator()(Node* node) const;
  };
  using Children = std::pmr::map<Key, std::unique_ptr<Node, Destroy>>;

  Key key_of(Node* at, Tokens tokens, std::string_view salt);
  std::unique_ptr<Node, Destroy> make_node();
  Children& children_of(Node* at);
  Node* add(Node* at, Key key, Page page);
  void remove(Node* node);
  void evict_one();

  PagePool& pool_;
  std::pmr::unsynchronized_pool_resource memory_;  ///< of all nodes: as they come and go, a step allocates nothing
  std::unique_ptr<Node, Destroy> root_;
  std::pmr::list<Node*> by_use_{&memory_};  ///< the most recent first
};

}  // namespace tenon::kvcache
