package main

import (
	"bytes"
	"errors"
	"fmt"

	"keepword/inspect/smtp"
)

// scanned is how much mail is read over and over. With what the packets' headers and
// the program need it stays in a core's second-level cache, as octets do that the
// kernel has just copied.
const scanned = 960_000

// scan has mail data read in pieces, from the state behind the 354 on.
type scan struct {
	dialogue smtp.Dialogue
	spare    smtp.Spare
	pieces   [][]byte
}

func newScan(mail []byte, piece int) (*scan, error) {
	s := &scan{}
	for ; len(mail) > piece; mail = mail[piece:] {
		s.pieces = append(s.pieces, mail[:piece])
	}
	s.dialogue.Init()
	for _, part := range [][]step{introduction, envelope} {
		for _, st := range part {
			s.hear(st)
		}
	}
	if s.dialogue.Mode() != smtp.MailData {
		return nil, fmt.Errorf("the dialogue is in mode %d, not in mail data", s.dialogue.Mode())
	}
	return s, nil
}

// hear has a step read to its end.
func (s *scan) hear(st step) {
	for b := st.text; len(b) > 0; {
		n := 0
		if st.from == client {
			n, _ = s.dialogue.Client(b, &s.spare)
		} else {
			n, _ = s.dialogue.Server(b, &s.spare)
		}
		if n == 0 {
			return
		}
		b = b[n:]
	}
}

// run reads at least n octets and returns how many in a nanosecond, which is GB in a
// second.
func (s *scan) run(n int) (speed float64, err error) {
	speed = s.over(n, func(piece []byte) bool {
		for at := 0; at < len(piece); {
			k, _ := s.dialogue.Client(piece[at:], &s.spare)
			if k == 0 {
				return false
			}
			at += k
		}
		return true
	})
	if speed == 0 || s.dialogue.Mode() != smtp.MailData {
		return 0, fmt.Errorf("mail data was not read on, in mode %d", s.dialogue.Mode())
	}
	return speed, nil
}

// index is the baseline: the search of the standard library for nothing but the end of
// mail data, blind for one that is cut in two.
func (s *scan) index(n int) (speed float64, err error) {
	end := []byte("\r\n.\r\n")
	speed = s.over(n, func(piece []byte) bool {
		at := bytes.Index(piece, end)
		return at < 0
	})
	if speed == 0 {
		return 0, errors.New("the mail ends within")
	}
	return speed, nil
}

// over has pieces of at least n octets read and returns how many in a nanosecond, 0 where
// read says that it could not.
func (s *scan) over(n int, read func(piece []byte) bool) float64 {
	done, ok := 0, true
	took := timed(func() {
		for done < n && ok {
			for _, p := range s.pieces {
				ok = ok && read(p)
				done += len(p)
			}
		}
	})
	if !ok {
		return 0
	}
	return float64(done) / float64(took)
}
