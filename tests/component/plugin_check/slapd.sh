#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# slapd.sh start|stop FOLDER SOCKET: a directory with ada and bob on a Unix socket, for one test of hedwig-plugin-check.
set -eu
folder=$2 socket=$3

if [ "$1" = stop ]; then
  kill "$(cat "$folder/slapd.pid")"
  rm -f "$socket"
  exit 0
fi

person() {
  printf 'dn: uid=%s,ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s\nsn: %s\n' "$1" "$1" "$1" "$1"
  printf 'mail: %s@example.com\nuserPassword: %s\n\n' "$1" "$2"
}

mkdir "$folder/db"
cat > "$folder/slapd.conf" <<END
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $folder/slapd.pid
database mdb
suffix dc=example,dc=com
maxsize 16777216
dbnosync
directory $folder/db
index objectClass,uid eq
access to attrs=userPassword by anonymous auth
access to * by * read
END
{
  printf 'dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n'
  printf 'dn: ou=people,dc=example,dc=com\nobjectClass: organizationalUnit\nou: people\n\n'
  person ada 'in wonderland'
  person bob 'the builder'
} > "$folder/tree.ldif"
/usr/sbin/slapadd -q -w -f "$folder/slapd.conf" -l "$folder/tree.ldif" > "$folder/slapd.log" 2>&1
# Without -d it leaves the shell once its sockets are open.
/usr/sbin/slapd -f "$folder/slapd.conf" -h "ldapi://$(printf %s "$socket" | sed 's,/,%2F,g')/" >> "$folder/slapd.log" 2>&1
