package main

// programs are sources, logs and transcripts as they are mailed, most of them with line
// ends of the machine that they come from.
var programs = []body{
	{name: "a manual page in roff", text: `.TH KEEPWORD 8 2025-06-02
.
.SH NAME
keepword \- a firewall for SMTP
.
.SH SYNOPSIS
.B keepword
.RI [ command ]
.
.
.SH DESCRIPTION
.
It reads the dialogue of
.B SMTP
and lets
.B STARTTLS
through.
.
.TP
.B quit
Ends it.
.
.TP
.B "MAIL FROM:"
Begins a transaction.
.PP
.nf
.
.fi
`},
	{name: "a script for ed", text: "a\nfirst line\nsecond line\n.\nw\n1,$s/a/b/g\ni\ninserted\n.\n$\nc\nchanged\n.\nwq\n.\nq\n.\nQ\n"},
	{name: "a patch", text: `From 5be3a41f2c9 Mon Sep 17 00:00:00 2001
From: Alice <alice@example.net>
Date: Mon, 2 Jun 2025 10:11:12 +0200
Subject: [PATCH 1/2] smtp: say QUIT

---
 smtp.c | 6 +++---
 1 file changed, 3 insertions(+), 3 deletions(-)

diff --git a/smtp.c b/smtp.c
index 83db48f..bf269f4 100644
--- a/smtp.c
+++ b/smtp.c
@@ -10,7 +10,7 @@ static int leave(int fd)
 	dprintf(fd, "\r\n.\r\n");
-	dprintf(fd, "QUIT\n");
+	dprintf(fd, "QUIT\r\n");
 .
-.
+..
+MAIL FROM:<alice@example.net>
-RSET
--` + " \n2.39.5\n\n"},
	{name: "a patch for ed", text: "12c\nthe new line\n.\n10,11d\n3a\nanother\nand another\n.\n"},
	{name: "Perl with a format", text: `format STDOUT =
@<<<<<<<<< @>>>>>
$name,     $size
.

=pod

Data is read line by line.

=cut

write;
format STDOUT_TOP =
Name       Size
.
1;
`},
	{name: "a shell session", text: `$ printf 'hi\n.\n' | mail -s test bob
$ mail bob
Subject: test
hi
.
Cc:
$ ls -a
.
..
.bashrc
$ cat <<EOF | nc mail 25 | head -1
> HELO me
> QUIT
> EOF
220 mx.example ESMTP
$ exit
`},
	{name: "a listing of a directory", text: ".\n./a\n./b\n./b/quit\n./b/data\n.\n..\na\nb\n"},
	{name: "a log file", text: `Jun  2 10:11:12 mx sshd[12]: Failed password for root
Jun  2 10:11:13 mx postfix/smtpd[13]: lost connection after STARTTLS from client.example
Jun  2 10:11:13 mx postfix/smtpd[13]: improper command pipelining after DATA: MAIL FROM:<a@b>\r\n
Auth failed, 3 attempts left
.
..
Quit smoking reminder sent
Data loaded
.
. done
.
250 records
354 more
220 all
221 bye
`},
	{name: "a program in C that speaks SMTP", text: `static const char *script[] = {
	"HELO me\r\n",
	"MAIL FROM:<%s>\r\n",
	"RCPT TO:<%s>\r\n",
	"DATA\r\n",
	".\r\n",
	"QUIT\r\n",
};
`},
	{name: "a script for expect", text: "spawn telnet mail 25\nexpect 220\nsend \"MAIL FROM:<a@example.net>\\r\"\nexpect 250\nsend \".\\r\"\nsend \"QUIT\\r\"\n"},
	{name: "a program in Python", text: "import smtplib\nwith smtplib.SMTP('mail') as s:\n    s.starttls()\n    s.docmd('MAIL', 'FROM:<a@b>')\n    s.data(b'x\\n.\\nMAIL FROM:<eve@example.net>\\n')\n"},
	{name: "assembler", text: "\t.section .data\n.data\n.text\n.globl main\nmain:\n\tcall quit\n.\n\t.end\n"},
	{name: "TeX and Texinfo", text: "@node Quit\n@chapter Quit\n.\n@code{DATA}\n\\documentclass{letter}\n.\n\\end{document}\n"},
	{name: "BASIC", text: "10 DATA 1,2,3\n20 READ A\n.\nDATA 4,5,6\n.\n30 PRINT A\n"},
	{name: "YAML", text: "---\ndata:\n  quit: true\n...\n---\n.\nmail: from\n...\n"},
}

// dialogues quote SMTP. Where a quoted line can't be taken for a command, they come with
// any line ends.
var dialogues = []body{
	{name: "a standard's example", text: `   S: 220 foo.example Simple Mail Transfer Service Ready
   C: EHLO bar.example
   S: 250-foo.example greets bar.example
   S: 250 STARTTLS
   C: MAIL FROM:<smith@bar.example>
   S: 250 OK
   C: RCPT TO:<jones@foo.example>
   S: 250 OK
   C: DATA
   S: 354 Start mail input; end with <CRLF>.<CRLF>
   C: Blah blah blah...
   C: .
   S: 250 OK
   C: QUIT
   S: 221 foo.example Service closing transmission channel
.
`},
	{name: "a quoted dialogue", text: "> MAIL FROM:<a@example.net>\n> DATA\n> text\n> .\n> MAIL FROM:<b@example.net>\n> QUIT\n.\n> RSET\n"},
	{name: "a transcript of sendmail", text: `bob... Connecting to mx.example via esmtp...
220 mx.example ESMTP
>>> EHLO client.example
250-mx.example
250 HELP
>>> MAIL From:<alice@example.net>
250 2.1.0 Ok
>>> DATA
354 Enter mail
>>> .
250 2.0.0 accepted for delivery
.
050 >>> QUIT
221 2.0.0 closing
`},
	{name: "a transcript of swaks", text: `=== Trying mx.example:25...
<-  220 mx.example ESMTP
 -> EHLO client.example
<-  250 STARTTLS
 -> MAIL FROM:<alice@example.net>
<-  250 2.1.0 Ok
 -> .
<-  250 2.0.0 Ok
 -> QUIT
<-  221 2.0.0 Bye
`},
	{name: "a session by telnet, copied from a terminal", mails: true, text: `$ telnet mail.example 25
Connected to mail.example.
220 mail.example ESMTP
HELO me
250 mail.example
MAIL FROM:<a@example.net>
250 2.1.0 Ok
RCPT TO:<b@example.org>
250 2.1.5 Ok
DATA
354 End data with <CR><LF>.<CR><LF>
Subject: test

test
.
250 2.0.0 Ok: queued as 5BE3A41F2C
QUIT
221 2.0.0 Bye
Connection closed by foreign host.
`},
	{name: "a dialogue of the client alone", spells: true, text: `EHLO client.example
STARTTLS
MAIL FROM:<a@example.net>
RCPT TO:<b@example.org>
DATA
Subject: test

test
.
MAIL FROM:<c@example.net>
RCPT TO:<d@example.org>
DATA
.
RSET
NOOP
.
QUIT
.
BDAT 5 LAST
.
AUTH PLAIN AAAA
`},
	{name: "two sessions by telnet", spells: true, text: `MAIL FROM:<a@example.net>
250 2.1.0 Ok
DATA
354 Go ahead
one
.
250 2.0.0 Ok
MAIL FROM:<a@example.net>
250 2.1.0 Ok
DATA
354 Go ahead
two
.
250 2.0.0 Ok
STARTTLS
220 2.0.0 Ready
`},
	{name: "a forwarded message with lines that begin MAIL FROM:", spells: true, text: `---------- Forwarded message ----------
Mail from: Carol
MAIL FROM:<carol@example.com>
.
MAIL FROM:<>
.
mail from: carol
.
STARTTLS
.
`},
	{name: "a list of what smuggles", spells: true, text: `The line ends are those of this mail; behind each dot stands what an attacker would.
.
MAIL FROM:<admin@example.org>
.
RCPT TO:<victim@example.org>
.
RSET
.
EHLO evil.example
.
DATA
`},
}
