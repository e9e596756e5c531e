package broken

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// Place is where the offer of TLS stands among an EHLO reply's extensions.
type Place uint8

const (
	// First is right behind the greeting line.
	First Place = iota
	// Middle has as many extensions before it as behind it, or one more behind.
	Middle
	// Last is the final line.
	Last
)

// ServerConfig says what a server does. Only Kind is required, and TLS where the
// kind begins TLS.
type ServerConfig struct {
	// Kind is the name of a server kind, see [Kinds].
	Kind string
	// TLS is for the handshake, with a certificate. It is not changed.
	TLS *tls.Config
	// Hostname stands in the greeting and in the EHLO reply: mail.example.
	Hostname string
	// Greeting is the text behind "220 " and the host name: ESMTP ready.
	Greeting string
	// MaskGreeting overwrites the greeting with asterisks, as a PIX does.
	MaskGreeting bool
	// Offer is where the lines that offer TLS stand in the EHLO reply.
	Offer Place
	// Pipelining, EightBitMIME, Chunking and Auth offer the extensions of those names
	// (RFC 2920, 6152, 3030, 4954). Chunking is BDAT; Auth is PLAIN and LOGIN, with
	// every name and password accepted.
	Pipelining, EightBitMIME, Chunking, Auth bool
	// Size offers SIZE (RFC 1870) with Limits.Message.
	Size bool
	// Cut says in which segments each reply in clear text leaves.
	Cut Cut
	// Reply, where it is set, is given each reply in clear text with the verb that it
	// answers, "" for the greeting, and the number of its connection from 0, and returns
	// what is said in its place. STARTTLS leads to TLS only where that begins with 220. It
	// is called from the goroutines of the connections.
	Reply func(connection int, verb, reply string) string
	// AnswerDelay is the time between the request for TLS and the answer.
	AnswerDelay time.Duration
	// Limits bound what the server takes.
	Limits Limits
}

// Message is a mail that a server accepted.
type Message struct {
	// Client is the address that it came from, as host:port.
	Client string
	// HELO is the name that the client gave, User the name that it authenticated by.
	HELO, User string
	// From and To are the envelope, without angle brackets.
	From string
	To   []string
	// TLS says whether it came through TLS.
	TLS bool
	// Data are the octets after dot-unstuffing (RFC 5321 section 4.5.2), the last CRLF
	// of the text included; through BDAT they are as sent.
	Data []byte
}

// Server is a small SMTP server of one kind.
type Server struct {
	*host
	config ServerConfig
	kind   serverBehaviour

	// Guarded by host.mu.
	sessions []*tap
	accepted int // connections
	messages []Message
	stored   int64
}

// Serve starts a server on ln, which it closes in the end. The error is that the
// configuration can't work, and then ln is left open.
func Serve(ln net.Listener, config ServerConfig) (*Server, error) {
	kind, err := findKind(config.Kind, RoleServer)
	if err != nil {
		return nil, err
	}
	if kind.server.needsTLS() && config.TLS == nil {
		return nil, errors.New("server kind " + config.Kind + " begins TLS: set ServerConfig.TLS")
	}
	setDefault(&config.Hostname, "mail.example")
	setDefault(&config.Greeting, "ESMTP ready")
	config.Limits = config.Limits.withDefaults()
	s := &Server{host: newHost(ln, config.Limits), config: config, kind: kind.server}
	s.start(func(c *tap) {
		serveSession(s, c, s.remember(c))
	})
	return s, nil
}

// remember keeps a connection's transcript, and forgets the oldest beyond the limit. It
// returns the connection's number.
func (s *Server) remember(c *tap) (number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions = appendBounded(s.sessions, c, s.limits.Sessions)
	s.accepted++
	return s.accepted - 1
}

// appendBounded appends to a list of at most limit elements, the latest.
func appendBounded[T any](list []T, element T, limit int) []T {
	if len(list) >= limit {
		list = append(list[:0], list[len(list)-limit+1:]...)
	}
	return append(list, element)
}

// Transcripts returns what was said on each connection, in the order in which they
// were accepted; those under way as far as they have come.
func (s *Server) Transcripts() []Transcript {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Transcript, len(s.sessions))
	for i, c := range s.sessions {
		all[i] = c.transcript()
	}
	return all
}

// Messages returns the mails accepted so far, in order. Their Data is shared and
// must not be changed.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// store keeps an accepted message, and returns false where there is no room.
func (s *Server) store(m Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored+int64(len(m.Data)) > s.limits.Stored {
		return false
	}
	s.stored += int64(len(m.Data))
	s.messages = append(s.messages, m)
	return true
}
