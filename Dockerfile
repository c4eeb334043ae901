# The release binary contains the pages, and is all that the final image copies.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm \
  && rustup target add wasm32-unknown-unknown
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
  --mount=type=cache,target=/source/target \
  make build && cp target/release/meanwhile /meanwhile

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --system --uid 10001 --home-dir /data --no-create-home meanwhile \
  && install --directory --owner meanwhile --group meanwhile --mode 0700 /data
COPY --from=build /meanwhile /usr/local/bin/meanwhile
USER meanwhile
ENV MEANWHILE_DATA=/data MEANWHILE_LISTEN=0.0.0.0:3000
VOLUME /data
EXPOSE 3000
# SIGTERM drains: calls in progress finish, and sockets are closed with a code
# that asks pages to reconnect.
STOPSIGNAL SIGTERM
ENTRYPOINT ["meanwhile"]
