package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"time"
)

// Stream is a Handler's result of many elements: it is encoded as a JSON array, one element
// at a time, so that a long list is never in memory as a whole.
type Stream iter.Seq[any]

// maxStream bounds a streamed answer in octets, for a client: the longest there is, a full
// history, has a third of it.
const maxStream = 256 << 20

// patient is a connection whose peer has the time idle for each write.
type patient struct{ net.Conn }

// Write writes p.
func (c patient) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(idle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// write writes the elements as a response whose result is an array.
func (s Stream) write(conn net.Conn) error {
	w := bufio.NewWriter(patient{conn})
	w.WriteString(`{"result":[`) // the error is Flush's too
	first := true
	for element := range s {
		text, err := json.Marshal(element)
		if err != nil {
			return err
		}
		if !first {
			w.WriteByte(',')
		}
		first = false
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	w.WriteString("]}\n")
	return w.Flush()
}

// CallStream is Call for a request whose result is a Stream. each is called for every
// element; an error of its own ends the call and is returned.
func CallStream(ctx context.Context, path, name string, args any, each func(json.RawMessage) error) error {
	var own, theirs error
	err := converse(ctx, path, name, args, maxStream, func(in *json.Decoder) error {
		return readStream(in, func(element json.RawMessage) error {
			own = each(element)
			return own
		}, &theirs)
	})
	switch {
	case own != nil:
		return own
	case theirs != nil:
		return theirs
	}
	return err
}

// readStream reads a response whose result is an array. An error that it tells is put into
// theirs.
func readStream(in *json.Decoder, each func(json.RawMessage) error, theirs *error) error {
	if err := expect(in, json.Delim('{')); err != nil {
		return err
	}
	switch member, err := in.Token(); {
	case err != nil:
		return err
	case member == "error":
		var text string
		if err := in.Decode(&text); err != nil {
			return err
		}
		*theirs = errors.New(text)
		return nil
	case member != "result":
		return fmt.Errorf("%v is neither result nor error", member)
	}
	if err := expect(in, json.Delim('[')); err != nil {
		return err
	}
	for in.More() {
		var element json.RawMessage
		if err := in.Decode(&element); err != nil {
			return err
		}
		if err := each(element); err != nil {
			return err
		}
	}
	if err := expect(in, json.Delim(']')); err != nil {
		return err
	}
	return expect(in, json.Delim('}'))
}

func expect(in *json.Decoder, want json.Delim) error {
	switch got, err := in.Token(); {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case got != want:
		return fmt.Errorf("%v instead of %v", got, want)
	}
	return nil
}
