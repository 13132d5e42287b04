// A Milvus for tests: `milvus-lite server`, a process of its own on this machine, started once per test program. Its
// program is $LASTRO_MILVUS_LITE, or the milvus-lite of the PATH; without one, tests skip and say so.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/milvus/milvus_store.h"
#include "tests/test_util.h"

namespace lastro::services::testing {

// Why a test skips.
inline constexpr char kNoMilvusLite[] =
    "there is no Milvus to test with: install the Python packages milvus-lite and pymilvus, and set "
    "LASTRO_MILVUS_LITE to the program milvus-lite";

class MilvusLite {
 public:
  // Null where it is not installed. Fails the test when it is but does not start.
  static MilvusLite* Get() {
    static MilvusLite* const server = Start();  // ends with the program
    return server;
  }

  const std::string& address() const { return address_; }

 private:
  static std::optional<std::string> Program() {
    if (const char* given = std::getenv("LASTRO_MILVUS_LITE"); given != nullptr && *given != '\0') return given;
    const char* path = std::getenv("PATH");
    for (absl::string_view folder : absl::StrSplit(path == nullptr ? "" : path, ':', absl::SkipEmpty())) {
      std::string program = absl::StrCat(folder, "/milvus-lite");
      if (access(program.c_str(), X_OK) == 0) return program;
    }
    return std::nullopt;
  }

  // One that nobody uses now; between this and the server's start somebody else may take it, which fails the test.
  static int FreePort() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    close(fd);
    return bound ? ntohs(address.sin_port) : 0;
  }

  static MilvusLite* Start() {
    const std::optional<std::string> program = Program();
    if (!program.has_value()) return nullptr;
    static MilvusLite server;
    const std::string port = absl::StrCat(FreePort());
    const std::string data = server.folder_ / "data";
    server.address_ = absl::StrCat("127.0.0.1:", port);
    server.pid_ = fork();
    if (server.pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int log = open((server.folder_ / "log").c_str(), O_CREAT | O_WRONLY, 0600);
      dup2(log, STDOUT_FILENO);
      dup2(log, STDERR_FILENO);
      execl(program->c_str(), program->c_str(), "server", "--data-dir", data.c_str(), "--host", "127.0.0.1", "--port",
            port.c_str(), nullptr);
      _exit(127);
    }
    absl::StatusOr<std::unique_ptr<retrieval::ChunkStore>> store =
        OpenMilvusStore({.address = server.address_, .prefix = "first", .connect_timeout = absl::Seconds(60)});
    EXPECT_TRUE(store.ok()) << *program << " does not serve: " << store.status();
    return &server;
  }

  MilvusLite() = default;
  ~MilvusLite() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  lastro::testing::TempFolder folder_;
  std::string address_;
  pid_t pid_ = -1;
};

}  // namespace lastro::services::testing
