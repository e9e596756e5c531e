package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// scrapers bounds the scrapes at once: one Prometheus needs one.
	scrapers = 4
	// timeout bounds reading a request and writing its answer.
	timeout = 10 * time.Second
	// farewell bounds the wait for scrapes under way when the server ends.
	farewell = time.Second
)

// Server serves GET /metrics and nothing else.
type Server struct {
	listener net.Listener // nil where metrics are off
	http     http.Server
}

// Listen takes the address; "" switches metrics off. snapshot is called at each
// scrape, concurrently; log takes the messages of the HTTP server.
func Listen(address string, snapshot func() Snapshot, log *slog.Logger) (*Server, error) {
	if address == "" {
		return &Server{}, nil
	}
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("metrics: another program listens on %s: stop it, or set metrics.listen to another address", address)
	}
	if err != nil {
		return nil, fmt.Errorf("metrics: set metrics.listen to an address of this host: %w", err)
	}
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(snapshot))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            errorLog,
		MaxRequestsInFlight: scrapers,
	}))
	return &Server{listener: l, http: http.Server{
		Handler:           mux,
		ReadHeaderTimeout: timeout,
		ReadTimeout:       timeout,
		WriteTimeout:      timeout,
		IdleTimeout:       time.Minute, // longer than the usual distance of two scrapes
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          errorLog,
	}}, nil
}

// Addr returns the address that is served, nil where metrics are off.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Close gives the address back, of a Server that will not be served.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}

// Serve answers scrapes until ctx is done, and then returns nil. Where metrics are
// off it only waits for that.
func (s *Server) Serve(ctx context.Context) error {
	if s.listener == nil {
		<-ctx.Done()
		return nil
	}
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("metrics: %w", err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if s.http.Shutdown(bounded) != nil {
		s.http.Close() // a scrape that hangs is cut off
	}
	<-failed
	return nil
}
