module forebay.test/go_gelf

go 1.21

require gopkg.in/Graylog2/go-gelf.v2 v2.0.0-20180326133423-4dbb9d721348
