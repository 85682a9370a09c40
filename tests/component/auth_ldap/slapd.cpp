// SPDX-License-Identifier: Apache-2.0
#include "tests/component/auth_ldap/slapd.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hedwig::test {

namespace {

constexpr const char* schema_folder = "/etc/ldap/schema/";
constexpr int start_tries = 6000; // of 10 ms

int connect_to(std::uint16_t port) {
  auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto done = ::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at);
  ::close(fd);
  return done;
}

std::uint16_t free_port() {
  auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    throw std::runtime_error{"no free port"};
  ::close(fd);
  return ntohs(at.sin_port);
}

std::string person(const std::string& uid, const std::string& password, const std::string& more = {}) {
  return "dn: uid=" + uid + ",ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: " + uid + "\ncn: " + uid +
         "\nsn: " + uid + "\nuserPassword: " + password + "\n" + more + "\n";
}

std::string group(const std::string& name, const std::string& members) {
  return "dn: cn=" + name + ",ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: " + name + "\n" + members +
         "\n";
}

std::string member(const std::string& rdn) { return "member: " + rdn + ",dc=example,dc=com\n"; }

/// As much of Active Directory's as auth-ldap asks for.
constexpr const char* active_directory_schema = R"(
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.656 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.782 NAME 'objectCategory' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP top AUXILIARY
  MAY ( sAMAccountName $ userPrincipalName $ objectCategory $ proxyAddresses ) )
)";

/// An account as Active Directory has them.
std::string account(const std::string& name, const std::string& principal, const std::string& more) {
  return "dn: cn=" + name + ",ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nobjectClass: user\ncn: " + name +
         "\nsn: " + name + "\nobjectCategory: person\nsAMAccountName: " + name + "\nuserPrincipalName: " + principal +
         "\nuserPassword: secret of " + name + "\n" + more + "\n";
}

std::string policy(const std::string& name, const std::string& more) {
  return "dn: cn=" + name + ",ou=policies,dc=example,dc=com\nobjectClass: device\nobjectClass: pwdPolicy\ncn: " + name +
         "\npwdAttribute: userPassword\n" + more + "\n";
}

std::string member_of(const std::string& name) { return "memberOf: cn=" + name + ",ou=groups,dc=example,dc=com\n"; }

/// The people that the tests speak of.
std::string people() {
  auto under = [](const std::string& policy_name) {
    return "pwdPolicySubentry: cn=" + policy_name + ",ou=policies,dc=example,dc=com\n";
  };
  std::string all;
  all += person("ada", "lovelace",
                "mail: Ada@Example.com\nmail: countess@example.com\nemployeeType: staff\n" + member_of("analysts"));
  all += person("eve", "eavesdrop", "mail: eve@example.com\n");
  // RFC 7677 section 3: user "user", password "pencil".
  all += person("user", "pencil",
                "description: of another kind\ndescription: SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n");
  all += "dn: uid=comma\\2C \\2B and *,ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: comma, + and *\n"
         "cn: special\nsn: special\nuserPassword: special\n\n";
  all += account("ghopper", "Grace.Hopper@corp.example.com",
                 "proxyAddresses: SMTP:Grace@Example.com\nproxyAddresses: smtp:admiral@example.com\n"
                 "proxyAddresses: x500:/o=example\n" +
                     member_of("analysts"));
  // Whose account name is the other's part before the @.
  all += account("grace.hopper", "other@corp.example.com", "");
  all += person("locked", "locked", "pwdAccountLockedTime: 000001010000Z\n");
  all += person("expired", "expired", "pwdChangedTime: 20000101000000Z\n" + under("strict"));
  all += person("grace", "grace", "pwdChangedTime: 20000101000000Z\n" + under("graceful"));
  all += person("reset", "reset", "pwdReset: TRUE\n" + under("change"));
  return all;
}

std::string tree() {
  std::string all =
      "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n";
  for (auto* unit : {"people", "groups", "policies"})
    all += std::string{"dn: ou="} + unit + ",dc=example,dc=com\nobjectClass: organizationalUnit\nou: " + unit + "\n\n";
  all += "dn: cn=service,dc=example,dc=com\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: "
         "service\nuserPassword: service secret\n\n";
  all += policy("default", "pwdLockout: TRUE\n");
  all += policy("strict", "pwdMaxAge: 60\n");
  all += policy("graceful", "pwdMaxAge: 60\npwdGraceAuthNLimit: 3\n");
  all += policy("change", "pwdMustChange: TRUE\n");
  all += people();
  // ada is in analysts, these are in staff, and staff and everyone in each other.
  all += group("analysts", member("uid=ada,ou=people") + member("cn=ghopper,ou=people") + member_of("staff"));
  all += group("staff", member("cn=analysts,ou=groups") + member("cn=everyone,ou=groups") + member_of("everyone"));
  all += group("everyone", member("cn=staff,ou=groups") + member_of("staff"));
  all += group("spies", member("uid=eve,ou=people"));
  return all;
}

} // namespace

scratch_folder::scratch_folder() {
  std::string parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path().string();
  auto pattern = parent + "/hedwig-ldap-XXXXXX";
  path_ = ::mkdtemp(pattern.data());
}

scratch_folder::~scratch_folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

slapd::slapd(options with) : port_{free_port()}, tls_port_{with.tls ? free_port() : std::uint16_t{0}} {
  if (::access("/usr/sbin/slapd", X_OK) != 0)
    throw std::runtime_error{"slapd is not installed (package slapd)"};
  write_config(with);
  auto all = tree();
  for (std::size_t i = 0; i < with.many_users; ++i) {
    auto name = "user" + std::to_string(i);
    all += person(name, "secret of " + name);
  }
  load(all);
  start();
}

slapd::~slapd() { kill(); }

void slapd::write_config(const options& with) const {
  std::filesystem::create_directory(folder_.path() + "/db");
  std::ofstream out{folder_.path() + "/slapd.conf"};
  for (auto* name : {"core", "cosine", "inetorgperson"})
    out << "include " << schema_folder << name << ".schema\n";
  out << active_directory_schema;
  out << "modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload memberof\nmoduleload ppolicy\n"
      << "pidfile " << folder_.path() << "/slapd.pid\n";
  if (with.tls)
    out << "TLSCertificateFile " << with.tls->certificate << "\nTLSCertificateKeyFile " << with.tls->key << "\n";
  out << "database mdb\nsuffix dc=example,dc=com\nmaxsize 268435456\ndbnosync\ndirectory " << folder_.path()
      << "/db\nindex objectClass,uid,member eq\n"
      << "overlay memberof\noverlay ppolicy\nppolicy_default cn=default,ou=policies,dc=example,dc=com\n"
      << "ppolicy_use_lockout\n"
      << "access to attrs=userPassword by anonymous auth\n"
      << "access to * by dn.exact=\"cn=service,dc=example,dc=com\" read by self read\n";
}

void slapd::load(const std::string& ldif) const {
  std::ofstream{folder_.path() + "/tree.ldif"} << ldif;
  auto command = "/usr/sbin/slapadd -q -w -f " + folder_.path() + "/slapd.conf -l " + folder_.path() + "/tree.ldif >" +
                 folder_.path() + "/slapadd.log 2>&1 </dev/null";
  if (std::system(command.c_str()) == 0) // NOLINT: nothing in it comes from outside
    return;
  std::stringstream log;
  log << std::ifstream{folder_.path() + "/slapadd.log"}.rdbuf();
  throw std::runtime_error{"slapadd failed: " + log.str()};
}

void slapd::start() {
  auto urls = url() + "/";
  if (tls_port_ != 0)
    urls += " " + tls_url() + "/";
  auto config = folder_.path() + "/slapd.conf";
  child_ = ::fork();
  if (child_ == 0) {
    auto log = ::open((folder_.path() + "/slapd.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(log, 1);
    ::dup2(log, 2);
    ::execl("/usr/sbin/slapd", "slapd", "-f", config.c_str(), "-h", urls.c_str(), "-d", "0",
            static_cast<char*>(nullptr));
    ::_exit(127);
  }
  for (int i = 0; connect_to(port_) != 0; ++i) {
    if (i == start_tries || ::waitpid(child_, nullptr, WNOHANG) != 0)
      throw std::runtime_error{"slapd does not start"};
    ::poll(nullptr, 0, 10); // until it listens
  }
}

void slapd::kill() {
  if (child_ <= 0)
    return;
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
  child_ = -1;
}

} // namespace hedwig::test
