package main

import (
	"encoding/hex"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

// record runs a cluster through joining, a crash, a leave and a visitor with another secret, and
// prints every packet and every stream write: "udp|tcp <sender> <hex>".
func record(o options) {
	out := &printer{}
	o.quick = true
	start := func(name, bind string, change func(*options)) *memberlist.Memberlist {
		own := o
		own.name, own.bind = name, bind
		if change != nil {
			change(&own)
		}
		config := own.config(nil)
		config.LogOutput = lines{}
		inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{bind}, BindPort: own.port, Logger: nullLogger,
		})
		check(err)
		config.BindPort, config.AdvertisePort = inner.GetAutoBindPort(), inner.GetAutoBindPort()
		config.Transport = newRecorder(inner, name, out)
		list, err := memberlist.Create(config)
		check(err)
		return list
	}
	join := func(list, seed *memberlist.Memberlist) {
		_, err := list.Join([]string{seed.LocalNode().Address()})
		if err != nil {
			out.line("log %v", err)
		}
	}
	a := start("a", "127.0.12.1", nil)
	b := start("b", "127.0.12.2", func(o *options) { o.meta = "0102ff" })
	join(b, a)
	c := start("node-with-a-longer-name-than-31-bytes", "127.0.12.3", nil)
	join(c, a)
	d := start("d", "127.0.12.4", nil)
	join(d, b)
	time.Sleep(2500 * time.Millisecond)
	check(c.Shutdown())
	time.Sleep(8 * time.Second)
	if o.secret != "" {
		stranger := start("stranger", "127.0.12.5", func(o *options) { o.secret = "another" })
		join(stranger, a)
		check(stranger.Shutdown())
	}
	check(d.Leave(time.Second))
	time.Sleep(time.Second)
	for _, list := range []*memberlist.Memberlist{a, b, d} {
		check(list.Shutdown())
	}
}

// recorder prints what goes through a transport.
type recorder struct {
	*memberlist.NetTransport
	name    string
	out     *printer
	streams chan net.Conn
}

func newRecorder(inner *memberlist.NetTransport, name string, out *printer) *recorder {
	r := &recorder{inner, name, out, make(chan net.Conn)}
	go func() {
		for conn := range inner.StreamCh() {
			r.streams <- recordedConn{conn, r}
		}
	}()
	return r
}

func (r *recorder) print(kind string, b []byte) {
	r.out.line("%s %s %s", kind, strings.ReplaceAll(r.name, " ", "_"), hex.EncodeToString(b))
}

func (r *recorder) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	r.print("udp", b)
	return r.NetTransport.WriteToAddress(b, to)
}

func (r *recorder) DialAddressTimeout(to memberlist.Address, d time.Duration) (net.Conn, error) {
	conn, err := r.NetTransport.DialAddressTimeout(to, d)
	if err != nil {
		return nil, err
	}
	return recordedConn{conn, r}, nil
}

func (r *recorder) StreamCh() <-chan net.Conn { return r.streams }

type recordedConn struct {
	net.Conn
	r *recorder
}

func (c recordedConn) Write(b []byte) (int, error) {
	c.r.print("tcp", b)
	return c.Conn.Write(b)
}

var nullLogger = log.New(io.Discard, "", 0)
