// The UDP reader of go-gelf, by the makers of Graylog. Arguments: file of what was seen, file for the port.
package main

import (
	"bytes"
	"net"
	"os"

	"gopkg.in/Graylog2/go-gelf.v2/gelf"
)

func main() {
	seen, err := os.Create(os.Args[1])
	check(err)
	reader, err := gelf.NewReader("127.0.0.1:0")
	check(err)
	_, port, err := net.SplitHostPort(reader.Addr())
	check(err)
	check(os.WriteFile(os.Args[2], []byte(port), 0o600))
	for {
		message, err := reader.ReadMessage()
		check(err)
		var line bytes.Buffer
		check(message.MarshalJSONBuf(&line))
		line.WriteByte('\n')
		_, err = seen.Write(line.Bytes())
		check(err)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
