#include "http_client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <utility>

namespace tenon::e2e {

Connection::Connection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval limit{kPatience, 0};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    ::close(socket_);
    throw std::runtime_error("cannot connect to port " + std::to_string(port));
  }
}

Connection::~Connection() { close(); }

void Connection::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

bool Connection::send(std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::send(socket_, data.data(), data.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void Connection::finish_sending() { ::shutdown(socket_, SHUT_WR); }

bool Connection::fill() {
  char part[65536];
  const ssize_t n = ::recv(socket_, part, sizeof part, 0);
  if (n <= 0) return false;
  buffer_.append(part, static_cast<std::size_t>(n));
  return true;
}

bool Connection::fill_to(std::size_t bytes) {
  while (buffer_.size() < bytes) {
    if (!fill()) return false;
  }
  return true;
}

bool Connection::wait_for(std::string_view text) {
  while (buffer_.find(text) == std::string::npos) {
    if (!fill()) return false;
  }
  return true;
}

bool Connection::at_end() {
  char byte;
  return buffer_.empty() && ::recv(socket_, &byte, 1, 0) == 0;
}

std::string Connection::line() {
  if (!wait_for("\r\n")) throw std::runtime_error("the connection ended within a line");
  const auto end = buffer_.find("\r\n");
  std::string out = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return out;
}

HttpReply Connection::read(bool head) {
  HttpReply reply;
  try {
    const std::string status = line();
    if (!status.starts_with("HTTP/1.")) throw std::runtime_error("no status line: " + status);
    reply.status = std::stoi(status.substr(9, 3));
    for (std::string field = line(); !field.empty(); field = line()) {
      const auto colon = field.find(':');
      std::string name = field.substr(0, colon);
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      reply.headers[name] = field.substr(std::min(field.size(), colon + 2));
    }
    if (head || reply.status == 100 || reply.status == 204) {
      reply.complete = true;
    } else if (reply.headers.contains("transfer-encoding")) {
      for (;;) {
        const std::size_t size = std::stoul(line(), nullptr, 16);
        if (!fill_to(size + 2)) return reply;
        if (buffer_.substr(size, 2) != "\r\n") throw std::runtime_error("a chunk does not end where it says");
        reply.body += buffer_.substr(0, size);
        buffer_.erase(0, size + 2);
        if (size == 0) break;
      }
      reply.complete = true;
    } else if (reply.headers.contains("content-length")) {
      const std::size_t size = std::stoul(reply.headers["content-length"]);
      reply.complete = fill_to(size);
      reply.body = buffer_.substr(0, size);
      buffer_.erase(0, size);
    } else {
      while (fill()) {
      }
      reply.body = std::exchange(buffer_, {});
      reply.complete = at_end();  // and not out of time
    }
  } catch (const std::exception&) {
    reply.complete = false;
  }
  return reply;
}

std::string http_text(const std::string& method, const std::string& path, const std::string& body,
                      const Headers& headers) {
  std::string out = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n";
  for (const auto& [name, value] : headers) out += name + ": " + value + "\r\n";
  if (!body.empty()) {
    out += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return out + "\r\n" + body;
}

HttpReply request(std::uint16_t port, const std::string& method, const std::string& path, const std::string& body,
                  const Headers& headers) {
  Connection connection(port);
  connection.send(http_text(method, path, body, headers));
  return connection.read(method == "HEAD");
}

HttpReply post(std::uint16_t port, const std::string& path, const Json& body) {
  return request(port, "POST", path, body.dump());
}

std::vector<std::string> events(const std::string& body) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < body.size();) {
    const auto end = body.find("\n\n", at);
    if (end == std::string::npos || body.compare(at, 6, "data: ") != 0) {
      out.push_back("not an event: " + body.substr(at));
      break;
    }
    out.push_back(body.substr(at + 6, end - at - 6));
    at = end + 2;
  }
  return out;
}

}  // namespace tenon::e2e
